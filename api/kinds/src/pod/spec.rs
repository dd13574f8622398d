//! Validation of a pod's spec (`ValidatePodSpec` and what is asked of pods alone).

use serde_json::Value;

use super::containers::{self, Surroundings};
use super::{dns, resources, scheduling, security, volumes};
use crate::findings::{Findings, NEGATIVE};
use crate::path::{Path, entries, has, integer, items, text};
use crate::quantity::Quantity;
use crate::{Causes, meta, names};

const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// Findings about a pod.
pub(super) fn validate_pod(pod: &Value) -> Causes {
    let mut findings = Findings::default();
    let (spec, at) = (&pod["spec"], Path::root("spec"));
    inner(spec, text(&pod["metadata"], "name"), true, at, &mut findings);
    volumes::tokens_need_account(spec, at, &mut findings);
    findings.non_negative(at.field("terminationGracePeriodSeconds"), &spec["terminationGracePeriodSeconds"]);
    for field in ["containers", "initContainers"] {
        let list = at.field(field);
        for (index, container) in items(spec, field).iter().enumerate() {
            let image = text(container, "image");
            if image.trim() != image {
                let message = "must not have leading or trailing whitespace";
                findings.invalid(list.index(index).field("image"), image, message);
            }
        }
    }
    let unbound_yet = text(&pod["status"], "phase") == "Pending";
    if unbound_yet && !text(spec, "nodeName").is_empty() && !items(spec, "schedulingGates").is_empty() {
        findings.forbidden(at.field("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
    findings.done()
}

/// Findings about the spec of a pod template.
pub fn validate(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    inner(spec, "", false, at, findings);
}

fn inner(spec: &Value, pod_name: &str, is_pod: bool, at: Path<'_>, findings: &mut Findings) {
    if !has(spec, "terminationGracePeriodSeconds") {
        findings.required(at.field("terminationGracePeriodSeconds"), "");
    }
    let volumes = volumes::validate(spec, pod_name, at.field("volumes"), findings);
    resources::claims(spec, at, findings);
    let around = Surroundings { spec, volumes };
    containers::validate(&around, at, findings);
    containers::validate_ephemeral(&around, at, findings);
    resources::validate_pod(spec, at, findings);
    host_network(spec, is_pod, at, findings);
    for (field, supported) in [("restartPolicy", RESTART_POLICIES), ("dnsPolicy", DNS_POLICIES)] {
        match text(spec, field) {
            "" => findings.required(at.field(field), ""),
            policy => findings.one_of(at.field(field), policy, supported),
        }
    }
    meta::labels(spec, at, "nodeSelector", findings);
    security::pod(spec, at, findings);
    if spec["shareProcessNamespace"] == true && spec["hostPID"] == true {
        let message = "ShareProcessNamespace and HostPID cannot both be enabled";
        findings.invalid(at.field("shareProcessNamespace"), &spec["shareProcessNamespace"], message);
    }
    scheduling::affinity(spec, at, findings);
    dns::config(spec, at, findings);
    scheduling::gates(spec, at, findings);
    scheduling::spread(spec, at, findings);
    host_users(spec, at, findings);
    names_of_others(spec, at, findings);
    dns::hosts(spec, at, findings);
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        for message in names::in_range(seconds, 1, i64::from(i32::MAX)) {
            findings.invalid(at.field("activeDeadlineSeconds"), seconds, &message);
        }
    }
    scheduling::tolerations(spec, at, findings);
    if has(spec, "preemptionPolicy") {
        findings.one_of(
            at.field("preemptionPolicy"),
            text(spec, "preemptionPolicy"),
            &["PreemptLowerPriority", "Never"],
        );
    }
    for (name, amount) in entries(spec, "overhead") {
        if Quantity::of_json(amount).is_some_and(|q| q.sign().is_lt()) {
            findings.invalid(at.field("overhead").field("limits").key(name), amount, NEGATIVE);
        }
    }
    os(spec, at, findings);
    volumes::file_keys(spec, at, findings);
}

fn host_network(spec: &Value, is_pod: bool, at: Path<'_>, findings: &mut Findings) {
    if spec["hostNetwork"] != true {
        return;
    }
    let list = at.field("containers");
    for (index, container) in items(spec, "containers").iter().enumerate() {
        let at = list.index(index);
        let ports = at.field("ports");
        for (index, port) in items(container, "ports").iter().enumerate() {
            let (host, own) = (integer(port, "hostPort"), integer(port, "containerPort"));
            if (is_pod || host != 0) && host != own {
                let message = "must match `containerPort` when `hostNetwork` is true";
                findings.invalid(ports.index(index).field("hostPort"), host, message);
            }
        }
    }
}

fn host_users(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    if spec["hostUsers"] != false {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec[field] == true {
            findings.forbidden(at.field(shown), "when `hostUsers` is false");
        }
    }
}

/// Names of other objects that a spec refers to.
fn names_of_others(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let (account, older) = (text(spec, "serviceAccountName"), text(spec, "serviceAccount"));
    for (field, name) in [
        ("serviceAccountName", account),
        ("nodeName", text(spec, "nodeName")),
        ("priorityClassName", text(spec, "priorityClassName")),
    ] {
        if !name.is_empty() {
            findings.names(at.field(field), name, names::dns1123_subdomain(name));
        }
    }
    if older != account {
        let message = format!("must be the same as serviceAccountName: {account:?}");
        findings.invalid(at.field("deprecatedServiceAccount"), older, &message);
    }
    if has(spec, "runtimeClassName") {
        let name = text(spec, "runtimeClassName");
        findings.names(at.field("runtimeClassName"), name, names::dns1123_subdomain(name));
    }
}

fn os(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    if !has(spec, "os") {
        return;
    }
    match text(&spec["os"], "name") {
        "" => findings.required(at.field("os").field("name"), ""),
        name => findings.one_of(at.field("os"), name, &["linux", "windows"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::POD;

    /// Findings about a pod whose one container and spec are changed so.
    fn findings(container: Value, spec: Value) -> Vec<String> {
        let mut merged = json!({"name": "c", "image": "i"});
        merged.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        let mut pod = json!({"metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": [merged]}});
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        (POD.strategy.default)(&mut pod);
        (POD.strategy.validate)(&pod).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn containers_are_judged_as_kubernetes_judges_them() {
        let check = |container: Value, expected: &[&str]| assert_eq!(findings(container, json!({})), expected);
        check(json!({}), &[]);
        check(json!({"image": ""}), &["spec.containers[0].image: Required value"]);
        check(
            json!({"image": " i"}),
            &["spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace"],
        );
        check(
            json!({"name": "A"}),
            &[
                "spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            ],
        );
        check(
            json!({"ports": [{"containerPort": 70000}]}),
            &[
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        );
        check(
            json!({"ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "name": "http"}]}),
            &["spec.containers[0].ports[1].name: Duplicate value: \"http\""],
        );
        check(
            json!({"ports": [{"containerPort": 80, "protocol": "X"}]}),
            &[
                "spec.containers[0].ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ],
        );
        check(
            json!({"imagePullPolicy": "Sometimes"}),
            &[
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ],
        );
        check(
            json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
            &["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
        );
        check(json!({"env": [{"value": "x"}]}), &["spec.containers[0].env[0].name: Required value"]);
        check(
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}),
            &[
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ],
        );
        check(
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]}),
            &[
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ],
        );
        check(json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}]}), &[]);
        check(
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}),
            &["spec.containers[0].env[0].valueFrom.secretKeyRef.key: Required value"],
        );
        check(
            json!({"livenessProbe": {"periodSeconds": 5}}),
            &["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
        );
        check(
            json!({"livenessProbe": {"grpc": {"port": 0}, "successThreshold": 2}}),
            &[
                "spec.containers[0].livenessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        );
        check(
            json!({"readinessProbe": {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}}}),
            &["spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
        );
        check(
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            &[
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ],
        );
        check(
            json!({"securityContext": {"allowPrivilegeEscalation": false, "privileged": true}}),
            &[
                "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            ],
        );
        check(
            json!({"lifecycle": {"preStop": {"sleep": {"seconds": 60}}}}),
            &[
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 60: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ],
        );
    }

    #[test]
    fn specs_are_judged_as_kubernetes_judges_them() {
        let check = |spec: Value, expected: &[&str]| assert_eq!(findings(json!({}), spec), expected);
        check(json!({"containers": []}), &["spec.containers: Required value"]);
        check(
            json!({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}),
            &["spec.containers[1].name: Duplicate value: \"c\""],
        );
        check(
            json!({"restartPolicy": "Sometimes"}),
            &[
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            ],
        );
        check(json!({"volumes": [{"name": "v"}]}), &[]);
        check(
            json!({"volumes": [{"name": "v", "secret": {}}]}),
            &["spec.volumes[0].secret.secretName: Required value"],
        );
        check(
            json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/a"}}]}),
            &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
        );
        check(
            json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]}),
            &["spec.volumes[1].name: Duplicate value: \"v\""],
        );
        check(
            json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}),
            &["spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"],
        );
        check(
            json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule"}]}),
            &["spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"],
        );
        check(
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}}),
            &[
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
            ],
        );
        check(
            json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"}]}}}),
            &[],
        );
        check(
            json!({"dnsPolicy": "None"}),
            &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        );
        check(json!({"dnsConfig": {"searches": ["_x._tcp.local."]}}), &[]);
        check(
            json!({"initContainers": [{"name": "c", "image": "i"}]}),
            &["spec.initContainers[0].name: Duplicate value: \"c\""],
        );
        check(
            json!({"initContainers": [{"name": "i", "image": "i", "livenessProbe": {"tcpSocket": {"port": 1}}}]}),
            &[
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ],
        );
        check(
            json!({"securityContext": {"runAsUser": -1}}),
            &["spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"],
        );
        check(
            json!({"activeDeadlineSeconds": 0}),
            &["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        );
    }
}
