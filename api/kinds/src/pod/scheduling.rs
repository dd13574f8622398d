//! Validation of where a pod may run: affinity, tolerations, spreading, gates.

use serde_json::{Value, json};

use crate::findings::Findings;
use crate::path::{Path, default, each_mut, has, integer, items, part, text};
use crate::{names, selector};

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Findings about the affinity of a spec.
pub(super) fn affinity(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let affinity = &spec["affinity"];
    let at = at.field("affinity");
    let node = &affinity["nodeAffinity"];
    let at_node = at.field("nodeAffinity");
    if has(node, REQUIRED) {
        node_selector(&node[REQUIRED], at_node.field(REQUIRED), findings);
    }
    let list = at_node.field(PREFERRED);
    for (index, preferred) in items(node, PREFERRED).iter().enumerate() {
        let at = list.index(index);
        weight(preferred, at, findings);
        node_selector_term(&preferred["preference"], at.field("preference"), findings);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let (pod, at) = (&affinity[name], at.field(name));
        let list = at.field(REQUIRED);
        for (index, term) in items(pod, REQUIRED).iter().enumerate() {
            pod_term(term, list.index(index), findings);
        }
        let list = at.field(PREFERRED);
        for (index, preferred) in items(pod, PREFERRED).iter().enumerate() {
            let at = list.index(index);
            weight(preferred, at, findings);
            pod_term(&preferred["podAffinityTerm"], at.field("podAffinityTerm"), findings);
        }
    }
}

fn weight(preferred: &Value, at: Path<'_>, findings: &mut Findings) {
    let weight = integer(preferred, "weight");
    if !(1..=100).contains(&weight) {
        findings.invalid(at.field("weight"), weight, "must be in the range 1-100");
    }
}

/// Findings about a node selector, of a pod or of a volume.
pub(crate) fn node_selector(selector: &Value, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("nodeSelectorTerms");
    let terms = items(selector, "nodeSelectorTerms");
    if terms.is_empty() {
        findings.required(list, "must have at least one node selector term");
    }
    for (index, term) in terms.iter().enumerate() {
        node_selector_term(term, list.index(index), findings);
    }
}

fn node_selector_term(term: &Value, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("matchExpressions");
    for (index, requirement) in items(term, "matchExpressions").iter().enumerate() {
        node_requirement(requirement, list.index(index), findings);
    }
    let list = at.field("matchFields");
    for (index, requirement) in items(term, "matchFields").iter().enumerate() {
        let at = list.index(index);
        let values = items(requirement, "values");
        match text(requirement, "operator") {
            "In" | "NotIn" if values.len() == 1 => {}
            "In" | "NotIn" => {
                let message = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                findings.required(at.field("values"), message);
            }
            other => findings.invalid(at.field("operator"), other, "not a valid selector operator"),
        }
        let key = text(requirement, "key");
        if key != "metadata.name" {
            findings.invalid(at.field("key"), key, "not a valid field selector key");
            continue;
        }
        for (index, name) in values.iter().filter_map(Value::as_str).enumerate() {
            findings.names(at.field("values").index(index), name, names::dns1123_subdomain(name));
        }
    }
}

fn node_requirement(requirement: &Value, at: Path<'_>, findings: &mut Findings) {
    let values = items(requirement, "values");
    match text(requirement, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            findings.required(at.field("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let message = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            findings.forbidden(at.field("values"), message);
        }
        "Gt" | "Lt" if values.len() != 1 => {
            findings.required(at.field("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => findings.invalid(at.field("operator"), other, "not a valid selector operator"),
    }
    let key = text(requirement, "key");
    findings.names(at.field("key"), key, names::qualified_name(key));
    for (index, value) in values.iter().filter_map(Value::as_str).enumerate() {
        findings.names(at.field("values").index(index), value, names::label_value(value));
    }
}

fn pod_term(term: &Value, at: Path<'_>, findings: &mut Findings) {
    selector::validate(&term["labelSelector"], at.field("labelSelector"), findings);
    selector::validate(&term["namespaceSelector"], at.field("namespaceSelector"), findings);
    for namespace in items(term, "namespaces").iter().filter_map(Value::as_str) {
        findings.names(at.field("namespace"), namespace, names::dns1123_label(namespace));
    }
    label_keys(term, at, findings);
    let key = text(term, "topologyKey");
    if key.is_empty() {
        findings.required(at.field("topologyKey"), "can not be empty");
    }
    findings.names(at.field("topologyKey"), key, names::qualified_name(key));
}

/// `matchLabelKeys` and `mismatchLabelKeys` (KEP-3633).
fn label_keys(term: &Value, at: Path<'_>, findings: &mut Findings) {
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = items(term, field);
        if !keys.is_empty() && !has(term, "labelSelector") {
            findings.forbidden(at.field(field), "must not be specified when labelSelector is not set");
            continue;
        }
        for (index, key) in keys.iter().filter_map(Value::as_str).enumerate() {
            findings.names(at.field(field).index(index), key, names::qualified_name(key));
        }
    }
    for (index, key) in items(term, "matchLabelKeys").iter().enumerate() {
        if items(term, "mismatchLabelKeys").contains(key) {
            let message = "exists in both matchLabelKeys and mismatchLabelKeys";
            findings.invalid(at.field("matchLabelKeys").index(index), key, message);
        }
    }
}

/// Findings about the tolerations of a spec.
pub(super) fn tolerations(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("tolerations");
    for (index, toleration) in items(spec, "tolerations").iter().enumerate() {
        let at = list.index(index);
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        let (value, effect) = (text(toleration, "value"), text(toleration, "effect"));
        if !key.is_empty() {
            findings.names(at.field("key"), key, names::qualified_name(key));
        } else if operator != "Exists" {
            let message = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            findings.invalid(at.field("operator"), operator, message);
        }
        if has(toleration, "tolerationSeconds") && effect != "NoExecute" {
            let message = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            findings.invalid(at.field("effect"), effect, message);
        }
        match operator {
            "Equal" | "" => {
                let messages = names::label_value(value);
                if !messages.is_empty() {
                    findings.invalid(at.field("operator"), value, &messages.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                findings.invalid(at.field("operator"), value, "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            "Lt" | "Gt" => findings.unsupported(at.field("operator"), operator, &["Equal", "Exists", "Lt", "Gt"]),
            other => findings.unsupported(at.field("operator"), other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            findings.one_of(at.field("effect"), effect, EFFECTS);
        }
    }
}

/// Findings about the effect of a taint.
pub(crate) fn taint_effect(effect: &str, at: Path<'_>, findings: &mut Findings) {
    match effect {
        "" => findings.required(at, ""),
        effect => findings.one_of(at, effect, EFFECTS),
    }
}

/// Findings about the topology spread constraints of a spec.
pub(super) fn spread(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("topologySpreadConstraints");
    let constraints = items(spec, "topologySpreadConstraints");
    for (index, constraint) in constraints.iter().enumerate() {
        let at = list.index(index);
        let (key, action) = (text(constraint, "topologyKey"), text(constraint, "whenUnsatisfiable"));
        if integer(constraint, "maxSkew") <= 0 {
            findings.invalid(at.field("maxSkew"), integer(constraint, "maxSkew"), "must be greater than zero");
        }
        if key.is_empty() {
            findings.required(at.field("topologyKey"), "can not be empty");
        }
        findings.one_of(at.field("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let again = |other: &&Value| text(other, "topologyKey") == key && text(other, "whenUnsatisfiable") == action;
        if constraints[index + 1..].iter().any(|other| again(&other)) {
            let both = format!("{{{key}, {action}}}");
            findings.duplicate(at.field("{topologyKey, whenUnsatisfiable}"), both.as_str());
        }
        if let Some(domains) = constraint["minDomains"].as_i64() {
            let at = at.field("minDomains");
            if domains <= 0 {
                findings.invalid(at, domains, "must be greater than zero");
            }
            if action != "DoNotSchedule" {
                let message = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                findings.invalid(at, domains, &message);
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"].into_iter().filter(|f| has(constraint, f)) {
            findings.one_of(at.field(field), text(constraint, field), &["Honor", "Ignore"]);
        }
        label_keys(constraint, at, findings);
        selector::validate(&constraint["labelSelector"], at.field("labelSelector"), findings);
    }
}

/// Findings about scheduling gates and readiness gates.
pub(super) fn gates(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("readinessGates");
    for (index, gate) in items(spec, "readinessGates").iter().enumerate() {
        let kind = text(gate, "conditionType");
        findings.names(list.index(index).field("conditionType"), kind, names::qualified_name(kind));
    }
    let list = at.field("schedulingGates");
    let mut seen = Vec::new();
    for (index, gate) in items(spec, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        findings.names(list.index(index), name, names::qualified_name(name));
        if seen.contains(&name) {
            findings.duplicate(list.index(index), name);
        }
        seen.push(name);
    }
}

/// At create, keys whose values are to be the pod's own become part of the selectors (KEP-3633, KEP-3243).
pub(super) fn merge_label_keys(pod: &mut Value) {
    let labels = pod["metadata"]["labels"].clone();
    let Some(spec) = part(pod, "spec") else { return };
    for constraint in each_mut(spec, "topologySpreadConstraints") {
        merge(constraint, &labels);
    }
    let Some(affinity) = part(spec, "affinity") else { return };
    for name in ["podAffinity", "podAntiAffinity"] {
        let Some(pod) = part(affinity, name) else { continue };
        for term in each_mut(pod, REQUIRED) {
            merge(term, &labels);
        }
        for preferred in each_mut(pod, PREFERRED) {
            if let Some(term) = part(preferred, "podAffinityTerm") {
                merge(term, &labels);
            }
        }
    }
}

fn merge(term: &mut Value, labels: &Value) {
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        let keys: Vec<Value> = items(term, field).to_vec();
        let Some(selector) = part(term, "labelSelector") else { return };
        for key in keys {
            let Some(value) = key.as_str().and_then(|k| labels.get(k)) else { continue };
            let requirement = json!({"key": key, "operator": operator, "values": [value]});
            default(selector, "matchExpressions", || json!([]));
            if let Some(list) = selector["matchExpressions"].as_array_mut().filter(|l| !l.contains(&requirement)) {
                list.push(requirement);
            }
        }
    }
}
