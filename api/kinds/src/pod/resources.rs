//! Validation of requested and limited resources.

use serde_json::Value;

use crate::findings::{Findings, NEGATIVE};
use crate::names;
use crate::path::{Path, count, default, entries, has, items, text};
use crate::quantity::Quantity;

/// Unless they are said, a pod asks as a whole for what its containers ask for together, or for its limits.
pub(super) fn default_pod(spec: &mut Value) {
    if count(&spec["resources"], "limits") + count(&spec["resources"], "requests") == 0 {
        return;
    }
    for name in ["cpu", "memory"] {
        let request = match (asked(spec, name), &spec["resources"]["limits"][name]) {
            (Some(sum), _) => sum.to_string().into(),
            (None, Value::Null) => continue,
            (None, limit) => limit.clone(),
        };
        default(&mut spec["resources"], "requests", || Value::Object(serde_json::Map::new()));
        default(&mut spec["resources"]["requests"], name, || request);
    }
}

/// What the containers of a pod request of a resource, all running at once and the init containers one by one.
fn asked(spec: &Value, name: &str) -> Option<Quantity> {
    let request = |c: &Value| Quantity::of_json(&c["resources"]["requests"][name]);
    let (mut running, mut most): (Option<Quantity>, Option<Quantity>) = (None, None);
    for container in items(spec, "initContainers") {
        let Some(amount) = request(container) else { continue };
        let with = running.unwrap_or_default().plus(amount);
        most = most.max(Some(with));
        if text(container, "restartPolicy") == "Always" {
            running = Some(with);
        }
    }
    for amount in items(spec, "containers").iter().filter_map(request) {
        running = Some(running.unwrap_or_default().plus(amount));
    }
    running.max(most)
}

/// Resources that the API knows by an unqualified name.
const STANDARD: &[&str] = &[
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "storage",
];
/// Of these, whole ones are counted.
const COUNTED: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

/// Findings about the resources of a container.
pub(super) fn validate(resources: &Value, at: Path<'_>, findings: &mut Findings) {
    let (at_limits, at_requests) = (at.field("limits"), at.field("requests"));
    let (mut huge, mut computing) = (false, false);
    for (name, amount) in entries(resources, "limits") {
        container_resource(name, at_limits.key(name), findings);
        quantity(name, amount, at_limits.key(name), findings);
        huge |= is_huge_page(name);
        computing |= matches!(name, "cpu" | "memory");
    }
    for (name, amount) in entries(resources, "requests") {
        container_resource(name, at_requests.key(name), findings);
        quantity(name, amount, at_requests.key(name), findings);
        huge |= is_huge_page(name);
        computing |= matches!(name, "cpu" | "memory");
        let requested = Quantity::of_json(amount).unwrap_or_default();
        match Quantity::of_json(&resources["limits"][name]) {
            Some(limit) if requested != limit && !may_overcommit(name) => {
                findings.invalid(at_requests, amount, &format!("must be equal to {name} limit of {limit}"));
            }
            Some(limit) if requested > limit => {
                findings.invalid(
                    at_requests,
                    amount,
                    &format!("must be less than or equal to {name} limit of {limit}"),
                );
            }
            None if !may_overcommit(name) => {
                findings.required(at_limits, "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
    }
    if huge && !computing {
        findings.forbidden(at, "HugePages require cpu or memory");
    }
}

/// Findings about the resources of a pod as a whole (KEP-2837).
pub(super) fn validate_pod(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let resources = &spec["resources"];
    if !resources.is_object() {
        return;
    }
    let at = at.field("resources");
    if has(resources, "claims") {
        findings.forbidden(at.field("claims"), "claims may not be set for Resources at pod-level");
    }
    for list in ["limits", "requests"] {
        let at = at.field(list);
        for (name, amount) in entries(resources, list) {
            if !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
                findings.unsupported(at.key(name), name, &["cpu", "hugepages-", "memory"]);
            }
            quantity(name, amount, at.key(name), findings);
        }
    }
    let at_requests = at.field("requests");
    for (name, amount) in entries(resources, "requests") {
        let sum: Quantity =
            items(spec, "containers").iter().filter_map(|c| Quantity::of_json(&c["resources"]["requests"][name])).sum();
        if sum > Quantity::of_json(amount).unwrap_or_default() {
            let message = format!("must be greater than or equal to aggregate container requests of {sum}");
            findings.invalid(at_requests.key(name), amount, &message);
        }
    }
}

/// Findings about the name of a resource.
pub(crate) fn resource_name(name: &str, at: Path<'_>, findings: &mut Findings) {
    let messages = names::qualified_name(name);
    let sound = messages.is_empty();
    findings.names(at, name, messages);
    if sound && !name.contains('/') && !is_standard(name) {
        findings.invalid(at, name, "must be a standard resource type or fully qualified");
    }
}

/// Whether the API knows a resource by this unqualified name.
pub(crate) fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

fn container_resource(name: &str, at: Path<'_>, findings: &mut Findings) {
    resource_name(name, at, findings);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(name) {
            findings.invalid(at, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && name.starts_with("requests.") {
        findings.invalid(at, name, "doesn't follow extended resource name standard");
    }
}

/// Findings about an amount of a resource.
pub(crate) fn quantity(name: &str, amount: &Value, at: Path<'_>, findings: &mut Findings) {
    let value = Quantity::of_json(amount).unwrap_or_default();
    if value.sign().is_lt() {
        findings.invalid(at, amount, NEGATIVE);
    }
    let counted = COUNTED.contains(&name) || (!is_native(name) && !name.starts_with("requests."));
    if counted && !value.is_whole() {
        findings.invalid(at, amount, "must be an integer");
    }
}

/// Whether requests of a resource may stay below its limit.
fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.split('/').next().is_some_and(|d| d == "kubernetes.io" || d.ends_with(".kubernetes.io"))
}

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Findings about the names of a pod's claims on devices.
pub(super) fn claims(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("resourceClaims");
    let mut seen = Vec::new();
    for (index, claim) in items(spec, "resourceClaims").iter().enumerate() {
        let (at, name) = (list.index(index), text(claim, "name"));
        if name.is_empty() {
            findings.required(at.field("name"), "");
        } else if seen.contains(&name) {
            findings.duplicate(at.field("name"), name);
        } else {
            findings.names(at.field("name"), name, names::dns1123_label(name));
        }
        seen.push(name);
        match (has(claim, "resourceClaimName"), has(claim, "resourceClaimTemplateName")) {
            (true, true) => {
                let message = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                findings.invalid(at, claim, message);
            }
            (false, false) => {
                let message = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                findings.invalid(at, claim, message);
            }
            _ => {}
        }
    }
    for field in ["containers", "initContainers"] {
        let list = at.field(field);
        for (index, container) in items(spec, field).iter().enumerate() {
            if count(&container["resources"], "claims") > 0 {
                let at = list.index(index);
                let at = at.field("resources");
                container_claims(&container["resources"], &seen, at.field("claims"), findings);
            }
        }
    }
}

fn container_claims(resources: &Value, known: &[&str], list: Path<'_>, findings: &mut Findings) {
    for (index, claim) in items(resources, "claims").iter().enumerate() {
        match text(claim, "name") {
            "" => findings.required(list.index(index), ""),
            name if !known.contains(&name) => findings.not_found(list.index(index), name),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_judged_as_kubernetes_judges_them() {
        let check = |resources: Value, expected: &[&str]| {
            let mut findings = Findings::default();
            validate(&resources, Path::root("resources"), &mut findings);
            let found: Vec<String> = findings.done().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "64Mi"}}), &[]);
        check(
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            &["resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"],
        );
        check(
            json!({"requests": {"memory": "-1"}}),
            &["resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0"],
        );
        check(
            json!({"limits": {"gpu": "1"}}),
            &[
                "resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
                "resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            ],
        );
        check(
            json!({"limits": {"pods": "1"}}),
            &["resources.limits[pods]: Invalid value: \"pods\": must be a standard resource for containers"],
        );
        check(
            json!({"limits": {"example.com/gpu": "0.5"}}),
            &["resources.limits[example.com/gpu]: Invalid value: \"0.5\": must be an integer"],
        );
        check(
            json!({"requests": {"example.com/gpu": "1"}}),
            &["resources.limits: Required value: Limit must be set for non overcommitable resources"],
        );
        check(json!({"limits": {"hugepages-2Mi": "4Mi"}}), &["resources: Forbidden: HugePages require cpu or memory"]);
    }
}
