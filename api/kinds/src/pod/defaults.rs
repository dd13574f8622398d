//! Defaults of a pod's spec (Kubernetes' `SetDefaults_PodSpec` and those of containers, probes and volumes).

use serde_json::{Map, Value, json};

use crate::path::{default, each_mut, text};

const FILE_MODE: i64 = 0o644;
/// Lifetime of projected service account tokens, seconds.
const TOKEN_EXPIRATION_S: i64 = 3600;

/// Fills in what a pod's spec leaves out.
pub fn pod_spec(spec: &mut Value) {
    default(spec, "restartPolicy", || "Always".into());
    default(spec, "terminationGracePeriodSeconds", || 30.into());
    default(spec, "dnsPolicy", || "ClusterFirst".into());
    default(spec, "securityContext", || json!({}));
    default(spec, "schedulerName", || "default-scheduler".into());
    default(spec, "enableServiceLinks", || true.into());
    // The older name of the same field.
    let account = text(spec, "serviceAccountName").to_owned();
    if !account.is_empty() {
        spec["serviceAccount"] = account.into();
    }
    let host_network = spec["hostNetwork"] == true;
    for list in ["initContainers", "containers"] {
        for item in each_mut(spec, list) {
            container(item, host_network);
        }
    }
    for item in each_mut(spec, "volumes") {
        volume(item);
    }
}

fn container(container: &mut Value, host_network: bool) {
    let image = text(container, "image").to_owned();
    default(container, "terminationMessagePath", || "/dev/termination-log".into());
    default(container, "terminationMessagePolicy", || "File".into());
    default(container, "imagePullPolicy", || if is_latest(&image) { "Always" } else { "IfNotPresent" }.into());
    default(container, "resources", || json!({}));
    for port in each_mut(container, "ports") {
        default(port, "protocol", || "TCP".into());
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            default(port, "hostPort", || number);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(item) = container.get_mut(name) {
            probe(item);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) =
            container.get_mut("lifecycle").and_then(|l| l.get_mut(hook)).and_then(|h| h.get_mut("httpGet"))
        {
            http_get(get);
        }
    }
    for variable in each_mut(container, "env") {
        if let Some(reference) = variable.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef")) {
            default(reference, "apiVersion", || "v1".into());
        }
    }
    // What is limited and not requested is requested at its limit.
    let limits: Map<String, Value> = container["resources"]["limits"].as_object().cloned().unwrap_or_default();
    if !limits.is_empty() {
        default(&mut container["resources"], "requests", || json!({}));
        for (name, limit) in limits {
            default(&mut container["resources"]["requests"], &name, || limit);
        }
    }
}

/// Whether an image has the tag `latest`, or none.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(probe: &mut Value) {
    default(probe, "timeoutSeconds", || 1.into());
    default(probe, "periodSeconds", || 10.into());
    default(probe, "successThreshold", || 1.into());
    default(probe, "failureThreshold", || 3.into());
    if let Some(get) = probe.get_mut("httpGet") {
        http_get(get);
    }
    if let Some(grpc) = probe.get_mut("grpc") {
        default(grpc, "service", || "".into());
    }
}

fn http_get(get: &mut Value) {
    default(get, "path", || "/".into());
    default(get, "scheme", || "HTTP".into());
}

fn volume(volume: &mut Value) {
    let sources = ["secret", "configMap", "downwardAPI", "projected"];
    let known = volume.as_object().is_some_and(|map| map.len() > 1);
    if !known {
        volume["emptyDir"] = json!({});
    }
    for name in sources {
        if let Some(source) = volume.get_mut(name) {
            default(source, "defaultMode", || FILE_MODE.into());
        }
    }
    if let Some(path) = volume.get_mut("hostPath") {
        default(path, "type", || "".into());
    }
    for item in volume.get_mut("downwardAPI").into_iter().flat_map(|d| each_mut(d, "items")) {
        if let Some(reference) = item.get_mut("fieldRef") {
            default(reference, "apiVersion", || "v1".into());
        }
    }
    for source in volume.get_mut("projected").into_iter().flat_map(|p| each_mut(p, "sources")) {
        if let Some(token) = source.get_mut("serviceAccountToken") {
            default(token, "expirationSeconds", || TOKEN_EXPIRATION_S.into());
        }
        for item in source.get_mut("downwardAPI").into_iter().flat_map(|d| each_mut(d, "items")) {
            if let Some(reference) = item.get_mut("fieldRef") {
                default(reference, "apiVersion", || "v1".into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_pulled_always() {
        for (image, latest) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1.29", false),
            ("r:5000/nginx", true),
            ("a/b@sha256:0", false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }

    #[test]
    fn a_small_pod_gets_kubernetes_defaults_once() {
        let mut spec = json!({
            "containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}},
                            "readinessProbe": {"httpGet": {"port": 80}}}],
            "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}],
        });
        pod_spec(&mut spec);
        let container = &spec["containers"][0];
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["resources"]["requests"]["cpu"], "1");
        assert_eq!(
            container["readinessProbe"],
            json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
        );
        assert_eq!(
            spec["volumes"],
            json!([{"name": "v", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}}])
        );
        let once = spec.clone();
        pod_spec(&mut spec);
        assert_eq!(spec, once);
    }
}
