//! Defaults of a pod's spec (Kubernetes' `SetDefaults_PodSpec` and those of containers, probes and volumes).

use serde_json::{Map, Value, json};

use crate::path::{default, default_text, each_mut, has, integer, part, set, text};
use crate::quantity::{canonicalize, canonicalize_list};

const FILE_MODE: i64 = 0o644;
/// Lifetime of projected service account tokens, seconds.
const TOKEN_EXPIRATION_S: i64 = 3600;

/// Fills in what a pod leaves out.
pub(super) fn pod(pod: &mut Value) {
    let Some(spec) = part(pod, "spec") else { return };
    pod_spec(spec);
    default(spec, "enableServiceLinks", || true.into());
    if integer(spec, "terminationGracePeriodSeconds") < 0 {
        set(spec, "terminationGracePeriodSeconds", 1.into());
    }
    let host_network = spec["hostNetwork"] == true;
    for list in ["initContainers", "containers"] {
        for container in each_mut(spec, list) {
            request_what_is_limited(container);
            if host_network {
                use_host_ports(container);
            }
        }
    }
    if let Some(status) = part(pod, "status") {
        pod_ips(status);
    }
}

/// Fills in what a pod's spec leaves out, in a pod or in a template.
pub fn pod_spec(spec: &mut Value) {
    default_text(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", || 30.into());
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "securityContext", || json!({}));
    default_text(spec, "schedulerName", "default-scheduler");
    // Two names of one field.
    let account = match text(spec, "serviceAccountName") {
        "" => text(spec, "serviceAccount"),
        name => name,
    };
    if !account.is_empty() {
        let account = Value::from(account);
        set(spec, "serviceAccountName", account.clone());
        set(spec, "serviceAccount", account);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for item in each_mut(spec, list) {
            container(item);
        }
    }
    for item in each_mut(spec, "volumes") {
        volume(item);
    }
    if let Some(overhead) = part(spec, "overhead") {
        canonicalize_list(overhead);
    }
    if let Some(resources) = part(spec, "resources") {
        canonicalize_resources(resources);
    }
}

fn container(container: &mut Value) {
    let image = text(container, "image").to_owned();
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    default_text(container, "imagePullPolicy", pull_policy(&image));
    default(container, "resources", || json!({}));
    if let Some(resources) = part(container, "resources") {
        canonicalize_resources(resources);
    }
    for port in each_mut(container, "ports") {
        default_text(port, "protocol", "TCP");
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(item) = part(container, name) {
            probe(item);
        }
    }
    for hook in ["postStart", "preStop"] {
        let handler = part(container, "lifecycle").and_then(|l| part(l, hook));
        if let Some(get) = handler.and_then(|h| part(h, "httpGet")) {
            http_get(get);
        }
    }
    for variable in each_mut(container, "env") {
        if let Some(from) = part(variable, "valueFrom") {
            references(from);
            if let Some(key) = part(from, "fileKeyRef") {
                default(key, "optional", || false.into());
            }
        }
    }
}

fn canonicalize_resources(resources: &mut Value) {
    for list in ["limits", "requests"] {
        if let Some(list) = part(resources, list) {
            canonicalize_list(list);
        }
    }
}

/// What is limited and not requested is requested at its limit. In pods only, not in templates.
fn request_what_is_limited(container: &mut Value) {
    let Some(resources) = part(container, "resources") else { return };
    let limits: Map<String, Value> = resources["limits"].as_object().cloned().unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    default(resources, "requests", || json!({}));
    for (name, limit) in limits {
        default(&mut resources["requests"], &name, || limit);
    }
}

fn use_host_ports(container: &mut Value) {
    for port in each_mut(container, "ports") {
        if integer(port, "hostPort") == 0 && has(port, "containerPort") {
            let number = port["containerPort"].clone();
            set(port, "hostPort", number);
        }
    }
}

/// `Always` for an image with the tag `latest`, or none.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    if latest { "Always" } else { "IfNotPresent" }
}

fn probe(probe: &mut Value) {
    for (field, number) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if integer(probe, field) == 0 {
            set(probe, field, number.into());
        }
    }
    if let Some(get) = part(probe, "httpGet") {
        http_get(get);
    }
    if let Some(grpc) = part(probe, "grpc") {
        default(grpc, "service", || "".into());
    }
}

fn http_get(get: &mut Value) {
    default_text(get, "path", "/");
    default_text(get, "scheme", "HTTP");
}

/// `fieldRef` and `resourceFieldRef`, of a variable or a file.
fn references(from: &mut Value) {
    if let Some(reference) = part(from, "fieldRef") {
        default_text(reference, "apiVersion", "v1");
    }
    if let Some(reference) = part(from, "resourceFieldRef") {
        default(reference, "divisor", || "0".into());
        canonicalize(&mut reference["divisor"]);
    }
}

fn volume(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|map| map.iter().any(|(name, v)| name != "name" && !v.is_null()));
    if !has_source {
        set(volume, "emptyDir", json!({}));
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = part(volume, name) {
            default(source, "defaultMode", || FILE_MODE.into());
        }
    }
    if let Some(path) = part(volume, "hostPath") {
        default(path, "type", || "".into());
    }
    if let Some(limit) = part(volume, "emptyDir").and_then(|e| part(e, "sizeLimit")) {
        canonicalize(limit);
    }
    if let Some(image) = part(volume, "image") {
        let policy = pull_policy(text(image, "reference"));
        default_text(image, "pullPolicy", policy);
    }
    if let Some(spec) =
        part(volume, "ephemeral").and_then(|e| part(e, "volumeClaimTemplate")).and_then(|t| part(t, "spec"))
    {
        crate::storage::claim::default_spec(spec);
    }
    if let Some(api) = part(volume, "downwardAPI") {
        each_mut(api, "items").for_each(references);
    }
    for source in part(volume, "projected").into_iter().flat_map(|p| each_mut(p, "sources")) {
        if let Some(token) = part(source, "serviceAccountToken") {
            default(token, "expirationSeconds", || TOKEN_EXPIRATION_S.into());
        }
        if let Some(api) = part(source, "downwardAPI") {
            each_mut(api, "items").for_each(references);
        }
        if let Some(certificate) = part(source, "podCertificate") {
            default(certificate, "maxExpirationSeconds", || 86_400.into());
        }
    }
    old_sources(volume);
}

/// Volumes that few clusters have still have their defaults.
fn old_sources(volume: &mut Value) {
    if let Some(iscsi) = part(volume, "iscsi") {
        default_text(iscsi, "iscsiInterface", "default");
    }
    if let Some(rbd) = part(volume, "rbd") {
        default_text(rbd, "pool", "rbd");
        default_text(rbd, "user", "admin");
        default_text(rbd, "keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = part(volume, "azureDisk") {
        default(disk, "cachingMode", || "ReadWrite".into());
        default(disk, "kind", || "Shared".into());
        default(disk, "fsType", || "ext4".into());
        default(disk, "readOnly", || false.into());
    }
    if let Some(scale_io) = part(volume, "scaleIO") {
        default_text(scale_io, "storageMode", "ThinProvisioned");
        default_text(scale_io, "fsType", "xfs");
    }
}

/// `podIP` is the first of `podIPs`.
fn pod_ips(status: &mut Value) {
    let first = status["podIPs"][0]["ip"].as_str().unwrap_or_default().to_owned();
    let ip = text(status, "podIP").to_owned();
    if ip.is_empty() && !first.is_empty() {
        set(status, "podIP", first.into());
    } else if !ip.is_empty() && ip != first {
        set(status, "podIPs", json!([{"ip": ip}]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_pulled_always() {
        let check = |image: &str, expected: &str| assert_eq!(pull_policy(image), expected, "{image}");
        check("nginx", "Always");
        check("nginx:latest", "Always");
        check("nginx:1.29", "IfNotPresent");
        check("r:5000/nginx", "Always");
        check("a/b@sha256:0", "IfNotPresent");
        check("a/b:latest@sha256:0", "IfNotPresent");
    }

    #[test]
    fn a_small_pod_gets_kubernetes_defaults_once() {
        let mut object = json!({"spec": {
            "containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "0.5"}},
                            "readinessProbe": {"httpGet": {"port": 80}},
                            "env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]}],
            "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}},
                        {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
            "serviceAccount": "robot",
        }});
        pod(&mut object);
        let container = &object["spec"]["containers"][0];
        assert_eq!(container["imagePullPolicy"], "Always");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["resources"], json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}));
        assert_eq!(container["env"][0]["valueFrom"]["resourceFieldRef"]["divisor"], "0");
        assert_eq!(
            container["readinessProbe"],
            json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
        );
        assert_eq!(
            object["spec"]["volumes"],
            json!([
                {"name": "v", "emptyDir": {}},
                {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}], "defaultMode": 420}},
            ])
        );
        assert_eq!(object["spec"]["serviceAccountName"], "robot");
        assert_eq!(object["spec"]["enableServiceLinks"], true);
        let once = object.clone();
        pod(&mut object);
        assert_eq!(object, once);
    }

    #[test]
    fn templates_do_not_request_what_they_limit() {
        let mut spec =
            json!({"containers": [{"name": "c", "image": "i:1", "resources": {"limits": {"memory": "1024Mi"}}}]});
        pod_spec(&mut spec);
        assert_eq!(spec["containers"][0]["resources"], json!({"limits": {"memory": "1Gi"}}));
        assert!(spec.get("enableServiceLinks").is_none());
    }

    #[test]
    fn pods_of_the_host_network_take_its_ports() {
        let mut object = json!({"spec": {"hostNetwork": true, "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}});
        pod(&mut object);
        assert_eq!(object["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
    }
}
