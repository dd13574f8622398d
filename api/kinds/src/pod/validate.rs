//! Validation of a pod's spec.

use serde_json::Value;

use crate::path::{Findings, items, text};
use crate::quantity::Quantity;
use crate::{Causes, names};

/// Whose spec it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A pod's own.
    Pod,
    /// A template that must restart always (Deployments, ReplicaSets).
    RestartAlways,
    /// Any other template.
    Template,
}

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

/// Findings about a spec at `path`.
pub fn spec(spec: &Value, path: &str, context: Context) -> Causes {
    let mut findings = Findings::default();
    let at = |field: &str| format!("{path}.{field}");
    let volumes = volumes(spec, path, &mut findings);
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        findings.required(&at("containers"), "");
    }
    let mut seen = Vec::new();
    for list in ["initContainers", "containers"] {
        for (path, item) in items(spec, list, path) {
            container(item, &path, &volumes, &mut findings);
            let name = text(item, "name");
            if seen.contains(&name) {
                findings.duplicate(&format!("{path}.name"), &item["name"]);
            }
            seen.push(name);
        }
    }
    let supported = match context {
        Context::RestartAlways => &["Always"][..],
        _ => RESTART_POLICIES,
    };
    one_of(spec, "restartPolicy", path, supported, &mut findings);
    one_of(spec, "dnsPolicy", path, DNS_POLICIES, &mut findings);
    for field in ["terminationGracePeriodSeconds", "activeDeadlineSeconds"] {
        findings.not_negative(&at(field), &spec[field]);
    }
    meta_names(spec, path, &mut findings);
    crate::meta::labels(spec.get("nodeSelector"), &at("nodeSelector"), &mut findings);
    tolerations(spec, path, &mut findings);
    spread(spec, path, &mut findings);
    findings.done()
}

fn meta_names(spec: &Value, path: &str, findings: &mut Findings) {
    for (field, rule) in [
        ("serviceAccountName", names::dns1123_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns1123_subdomain),
        ("hostname", names::dns1123_label),
        ("subdomain", names::dns1123_label),
        ("priorityClassName", names::dns1123_subdomain),
    ] {
        let name = text(spec, field);
        if !name.is_empty() {
            findings.names(&format!("{path}.{field}"), name, rule(name));
        }
    }
}

fn one_of(value: &Value, field: &str, path: &str, supported: &[&str], findings: &mut Findings) {
    let chosen = text(value, field);
    if !chosen.is_empty() && !supported.contains(&chosen) {
        findings.unsupported(&format!("{path}.{field}"), chosen, supported);
    }
}

fn volumes<'a>(spec: &'a Value, path: &str, findings: &mut Findings) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for (path, volume) in items(spec, "volumes", path) {
        let name = text(volume, "name");
        if name.is_empty() {
            findings.required(&format!("{path}.name"), "");
        } else {
            findings.names(&format!("{path}.name"), name, names::dns1123_label(name));
        }
        if seen.contains(&name) {
            findings.duplicate(&format!("{path}.name"), &volume["name"]);
        }
        seen.push(name);
        match volume.as_object().map_or(0, |map| map.len().saturating_sub(1)) {
            0 => findings.required(&path, "must specify a volume type"),
            1 => {}
            _ => findings.forbidden(&path, "may not specify more than 1 volume type"),
        }
        for (source, name, required) in [
            ("secret", "secretName", true),
            ("configMap", "name", true),
            ("persistentVolumeClaim", "claimName", true),
            ("hostPath", "path", true),
        ] {
            if required && volume[source].is_object() && text(&volume[source], name).is_empty() {
                findings.required(&format!("{path}.{source}.{name}"), "");
            }
        }
    }
    seen
}

fn container(container: &Value, path: &str, volumes: &[&str], findings: &mut Findings) {
    let name = text(container, "name");
    if name.is_empty() {
        findings.required(&format!("{path}.name"), "");
    } else {
        findings.names(&format!("{path}.name"), name, names::dns1123_label(name));
    }
    let image = text(container, "image");
    if image.is_empty() {
        findings.required(&format!("{path}.image"), "");
    } else if image.trim() != image {
        findings.invalid(&format!("{path}.image"), &container["image"], "must not have leading or trailing whitespace");
    }
    one_of(container, "imagePullPolicy", path, PULL_POLICIES, findings);
    ports(container, path, findings);
    env(container, path, findings);
    resources(&container["resources"], &format!("{path}.resources"), findings);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[probe].is_object() {
            self::probe(&container[probe], &format!("{path}.{probe}"), probe != "readinessProbe", findings);
        }
    }
    let mut mounted = Vec::new();
    for (path, mount) in items(container, "volumeMounts", path) {
        let (name, target) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            findings.required(&format!("{path}.name"), "");
        } else if !volumes.contains(&name) {
            findings.not_found(&format!("{path}.name"), name);
        }
        if target.is_empty() {
            findings.required(&format!("{path}.mountPath"), "");
        } else if mounted.contains(&target) {
            findings.invalid(&format!("{path}.mountPath"), &mount["mountPath"], "must be unique");
        }
        mounted.push(target);
    }
}

fn ports(container: &Value, path: &str, findings: &mut Findings) {
    let mut seen = Vec::new();
    for (path, port) in items(container, "ports", path) {
        let name = text(port, "name");
        if !name.is_empty() {
            findings.names(&format!("{path}.name"), name, names::port_name(name));
            if seen.contains(&name) {
                findings.duplicate(&format!("{path}.name"), &port["name"]);
            }
            seen.push(name);
        }
        let number = &port["containerPort"];
        if number.as_i64().unwrap_or(0) == 0 {
            findings.required(&format!("{path}.containerPort"), "");
        } else {
            self::port(number, &format!("{path}.containerPort"), findings);
        }
        if port["hostPort"].as_i64().is_some_and(|p| p != 0) {
            self::port(&port["hostPort"], &format!("{path}.hostPort"), findings);
        }
        one_of(port, "protocol", &path, PROTOCOLS, findings);
    }
}

/// Findings about a port number.
pub(crate) fn port(number: &Value, path: &str, findings: &mut Findings) {
    if number.as_i64().is_some_and(|p| !(1..=65_535).contains(&p)) {
        findings.invalid(path, number, "must be between 1 and 65535, inclusive");
    }
}

fn env(container: &Value, path: &str, findings: &mut Findings) {
    for (path, variable) in items(container, "env", path) {
        let name = text(variable, "name");
        if name.is_empty() {
            findings.required(&format!("{path}.name"), "");
        } else {
            findings.names(&format!("{path}.name"), name, names::env_name(name));
        }
        let Some(from) = variable.get("valueFrom").and_then(Value::as_object) else { continue };
        let path = format!("{path}.valueFrom");
        if !text(variable, "value").is_empty() {
            findings.invalid(&path, &Value::from(""), "may not be specified when `value` is not empty");
        }
        if from.len() != 1 {
            let message = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            findings.invalid(
                &path,
                &Value::from(""),
                if from.is_empty() { message } else { "may not have more than one field specified at a time" },
            );
        }
        for source in ["configMapKeyRef", "secretKeyRef"] {
            if from.contains_key(source) && text(&from[source], "key").is_empty() {
                findings.required(&format!("{path}.{source}.key"), "");
            }
        }
    }
}

fn resources(resources: &Value, path: &str, findings: &mut Findings) {
    for kind in ["limits", "requests"] {
        for (name, amount) in resources[kind].as_object().into_iter().flatten() {
            let path = format!("{path}.{kind}[{name}]");
            let quantity = Quantity::of(amount.as_str().unwrap_or_default());
            if quantity.sign().is_lt() {
                findings.invalid(&path, amount, "must be greater than or equal to 0");
            }
            let standard = ["cpu", "memory", "ephemeral-storage", "storage"].contains(&name.as_str())
                || name.starts_with("hugepages-");
            if !standard && !name.contains('/') {
                findings.invalid(
                    &path,
                    &Value::from(name.as_str()),
                    "must be a standard resource type or fully qualified",
                );
            } else if name.contains('/') && !quantity.is_whole() {
                findings.invalid(&path, amount, "must be an integer");
            }
            let limit = resources["limits"][name].as_str().and_then(Quantity::parse);
            if kind == "requests" && limit.is_some_and(|limit| quantity > limit) {
                let limit = resources["limits"][name].as_str().unwrap_or_default();
                findings.invalid(&path, amount, &format!("must be less than or equal to {name} limit of {limit}"));
            }
        }
    }
}

fn probe(probe: &Value, path: &str, single_success: bool, findings: &mut Findings) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    match handlers.iter().filter(|h| probe[**h].is_object()).count() {
        0 => findings.required(path, "must specify a handler type"),
        1 => {}
        _ => findings.forbidden(path, "may not specify more than 1 handler type"),
    }
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        findings.not_negative(&format!("{path}.{field}"), &probe[field]);
    }
    if single_success && probe["successThreshold"].as_i64().is_some_and(|n| n != 1) {
        findings.invalid(&format!("{path}.successThreshold"), &probe["successThreshold"], "must be 1");
    }
    if probe["httpGet"].is_object() && probe["httpGet"]["port"].is_number() {
        port(&probe["httpGet"]["port"], &format!("{path}.httpGet.port"), findings);
    }
}

fn tolerations(spec: &Value, path: &str, findings: &mut Findings) {
    for (path, toleration) in items(spec, "tolerations", path) {
        let (key, operator, effect) =
            (text(toleration, "key"), text(toleration, "operator"), text(toleration, "effect"));
        if !key.is_empty() {
            findings.names(&format!("{path}.key"), key, names::qualified_name(key));
        } else if operator != "Exists" {
            findings.invalid(
                &format!("{path}.operator"),
                &Value::from(operator),
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            );
        }
        if operator == "Exists" && !text(toleration, "value").is_empty() {
            findings.invalid(
                &format!("{path}.operator"),
                &toleration["value"],
                "value must be empty when `operator` is 'Exists'",
            );
        }
        if !["", "Exists", "Equal", "Gt", "Lt"].contains(&operator) {
            findings.unsupported(&format!("{path}.operator"), operator, &["Equal", "Exists"]);
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        if !effect.is_empty() && !effects.contains(&effect) {
            findings.unsupported(&format!("{path}.effect"), effect, &effects);
        }
        if toleration["tolerationSeconds"].is_number() && effect != "NoExecute" {
            findings.invalid(
                &format!("{path}.effect"),
                &Value::from(effect),
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            );
        }
    }
}

fn spread(spec: &Value, path: &str, findings: &mut Findings) {
    for (path, constraint) in items(spec, "topologySpreadConstraints", path) {
        if constraint["maxSkew"].as_i64().unwrap_or(0) <= 0 {
            findings.invalid(&format!("{path}.maxSkew"), &constraint["maxSkew"], "must be greater than zero");
        }
        if text(constraint, "topologyKey").is_empty() {
            findings.required(&format!("{path}.topologyKey"), "can not be empty");
        }
        let action = text(constraint, "whenUnsatisfiable");
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&action) {
            findings.unsupported(&format!("{path}.whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings(pod: Value) -> Vec<String> {
        spec(&pod, "spec", Context::Pod).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn findings_are_worded_as_kubernetes_words_them() {
        let check = |pod: Value, expected: &[&str]| assert_eq!(findings(pod), expected);
        check(json!({"containers": [{"name": "c", "image": "i"}]}), &[]);
        check(json!({}), &["spec.containers: Required value"]);
        check(json!({"containers": [{"name": "c"}]}), &["spec.containers[0].image: Required value"]);
        check(
            json!({"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 70000}]}]}),
            &[
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        );
        check(
            json!({"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Sometimes"}),
            &[
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            ],
        );
        check(
            json!({"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}),
            &["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
        );
        check(
            json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]}),
            &[
                "spec.containers[0].resources.requests[cpu]: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ],
        );
        check(
            json!({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}),
            &["spec.containers[1].name: Duplicate value: \"c\""],
        );
    }
}
