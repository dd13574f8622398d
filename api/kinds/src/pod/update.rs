//! What may change in a pod (`ValidatePodUpdate`).

use serde_json::Value;

use crate::Causes;
use crate::equality::same;
use crate::findings::Findings;
use crate::names;
use crate::path::{Path, has, integer, items, remove, set, text};

const FIXED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Findings about an update of a pod: of its spec, only images, a shortened deadline, added tolerations and removed gates
/// may change. A pod that waits behind gates may be narrowed down to fewer nodes (KEP-3838). Whom it is bound to changes
/// through `/binding`.
pub(super) fn validate(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let at = Path::root("spec");
    let (new, old) = (&new["spec"], &old["spec"]);
    for list in ["containers", "initContainers"] {
        if items(new, list).len() != items(old, list).len() {
            findings.forbidden(at.field(list), "pod updates may not add or remove containers");
            return findings.done();
        }
    }
    if !deadline(new, old, at, &mut findings) {
        return findings.done();
    }
    tolerations(new, old, at, &mut findings);
    gates(new, old, at, &mut findings);
    if same(new, old) {
        return findings.done();
    }
    let munged = munge(new, old, at, &mut findings);
    if !same(&munged, old) {
        findings.forbidden(at, &format!("{FIXED}\n{}", differences(&munged, old)));
    }
    findings.done()
}

/// Whether the deadline may become what it is to be.
fn deadline(new: &Value, old: &Value, at: Path<'_>, findings: &mut Findings) -> bool {
    let at = at.field("activeDeadlineSeconds");
    let before = old["activeDeadlineSeconds"].as_i64();
    match new["activeDeadlineSeconds"].as_i64() {
        Some(seconds) => {
            let messages = names::in_range(seconds, 0, i64::from(i32::MAX));
            if let Some(message) = messages.first() {
                findings.invalid(at, seconds, message);
                return false;
            }
            if before.is_some_and(|before| before < seconds) {
                findings.invalid(at, seconds, "must be less than or equal to previous value");
                return false;
            }
        }
        None if before.is_some() => {
            findings.invalid(at, &Value::Null, "must not update from a positive integer to nil value");
        }
        None => {}
    }
    true
}

fn tolerations(new: &Value, old: &Value, at: Path<'_>, findings: &mut Findings) {
    let without_time = |toleration: &Value| {
        let mut toleration = toleration.clone();
        remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let kept: Vec<Value> = items(new, "tolerations").iter().map(without_time).collect();
    let missing = |toleration: &Value| !kept.iter().any(|k| same(k, &without_time(toleration)));
    if items(old, "tolerations").iter().any(missing) {
        findings
            .forbidden(at.field("tolerations"), "existing toleration can not be modified except its tolerationSeconds");
    }
}

fn gates(new: &Value, old: &Value, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("schedulingGates");
    let before = items(old, "schedulingGates");
    for (index, gate) in items(new, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        if !before.iter().any(|g| text(g, "name") == name) {
            let message = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            findings.forbidden(list.index(index).field("name"), &message);
        }
    }
}

/// The new spec with all that may change put back as it was.
fn munge(new: &Value, old: &Value, at: Path<'_>, findings: &mut Findings) -> Value {
    let mut munged = new.clone();
    for list in ["containers", "initContainers"] {
        let images: Vec<Value> = items(old, list).iter().map(|c| c["image"].clone()).collect();
        let containers = munged.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for (container, image) in containers.zip(images) {
            set(container, "image", image);
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(&mut munged, old, field);
    }
    let grace = "terminationGracePeriodSeconds";
    if has(old, grace) && integer(old, grace) < 0 && integer(&munged, grace) == 1 {
        restore(&mut munged, old, grace);
    }
    if !items(old, "schedulingGates").is_empty() {
        narrow(&mut munged, old, at, findings);
    }
    munged
}

fn restore(value: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(before) => set(value, field, before.clone()),
        None => drop(remove(value, field)),
    }
}

/// Behind gates, a node selector may grow and a node affinity may get narrower.
fn narrow(munged: &mut Value, old: &Value, at: Path<'_>, findings: &mut Findings) {
    let kept = |value: &Value| {
        let before = old["nodeSelector"].as_object().into_iter().flatten();
        before.clone().all(|(key, v)| value.get(key) == Some(v))
    };
    if !same(&munged["nodeSelector"], &old["nodeSelector"]) {
        if !kept(&munged["nodeSelector"]) {
            let message = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            findings.invalid(at.field("nodeSelector"), &munged["nodeSelector"], message);
        }
        restore(munged, old, "nodeSelector");
    }
    if same(&munged["affinity"]["nodeAffinity"], &old["affinity"]["nodeAffinity"]) {
        return;
    }
    let before = &old["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let after = munged["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].clone();
    let (terms, terms_before) = (items(&after, "nodeSelectorTerms"), items(before, "nodeSelectorTerms"));
    let at_affinity = at.field("affinity");
    let at_node = at_affinity.field("nodeAffinity");
    let at_required = at_node.field("requiredDuringSchedulingIgnoredDuringExecution");
    let at_terms = at_required.field("nodeSelectorTerms");
    if before.is_object() && terms.len() != terms_before.len() {
        findings.invalid(
            at_terms,
            &after["nodeSelectorTerms"],
            "no additions/deletions to non-empty NodeSelectorTerms list are allowed",
        );
    } else {
        let grows = |(new, old): (&Value, &Value)| {
            ["matchExpressions", "matchFields"].iter().all(|field| {
                let (new, old) = (items(new, field), items(old, field));
                new.len() >= old.len() && old.iter().zip(new).all(|(old, new)| same(old, new))
            })
        };
        for (index, pair) in terms.iter().zip(terms_before).enumerate() {
            if !grows(pair) {
                findings.invalid(
                    at_terms.index(index),
                    pair.0,
                    "only additions are allowed (no mutations or deletions)",
                );
            }
        }
    }
    match old["affinity"].get("nodeAffinity") {
        Some(node) => munged["affinity"]["nodeAffinity"] = node.clone(),
        None => {
            drop(remove(&mut munged["affinity"], "nodeAffinity"));
            if munged["affinity"].as_object().is_some_and(serde_json::Map::is_empty) && !has(old, "affinity") {
                remove(munged, "affinity");
            }
        }
    }
}

/// The fields that differ, one a line, for people.
fn differences(new: &Value, old: &Value) -> String {
    let mut lines = Vec::new();
    let names = new.as_object().into_iter().chain(old.as_object()).flat_map(|map| map.keys());
    for name in names {
        let line = format!("  {name}: {} -> {}", old[name.as_str()], new[name.as_str()]);
        if !same(&new[name.as_str()], &old[name.as_str()]) && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({"spec": {
            "containers": [{"name": "c", "image": "i:1"}],
            "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
            "activeDeadlineSeconds": 100,
            "hostNetwork": false,
        }})
    }

    #[test]
    fn of_a_pod_little_may_change() {
        let check = |change: fn(&mut Value), expected: &[&str]| {
            let mut new = pod();
            change(&mut new["spec"]);
            let found: Vec<String> = validate(&new, &pod()).iter().map(ToString::to_string).collect();
            assert!(
                found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e)),
                "{found:?} is not {expected:?}"
            );
        };
        check(|_| {}, &[]);
        check(|s| s["containers"][0]["image"] = json!("i:2"), &[]);
        check(|s| drop(remove(s, "hostNetwork")), &[]);
        check(|s| s["tolerations"][0]["tolerationSeconds"] = json!(10), &[]);
        check(|s| s["tolerations"].as_array_mut().unwrap().push(json!({"key": "b", "operator": "Exists"})), &[]);
        check(
            |s| s["tolerations"] = json!([]),
            &["spec.tolerations: Forbidden: existing toleration can not be modified"],
        );
        check(|s| s["activeDeadlineSeconds"] = json!(50), &[]);
        check(
            |s| s["activeDeadlineSeconds"] = json!(101),
            &["spec.activeDeadlineSeconds: Invalid value: 101: must be less than or equal to previous value"],
        );
        check(
            |s| drop(remove(s, "activeDeadlineSeconds")),
            &["spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"],
        );
        check(
            |s| s["nodeName"] = json!("n"),
            &["spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"],
        );
        check(
            |s| s["containers"].as_array_mut().unwrap().push(json!({"name": "d", "image": "i"})),
            &["spec.containers: Forbidden: pod updates may not add or remove containers"],
        );
        check(
            |s| s["schedulingGates"] = json!([{"name": "x"}]),
            &["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'x'"],
        );
    }

    #[test]
    fn behind_gates_a_pod_may_be_narrowed_down() {
        let old = json!({"spec": {"containers": [], "schedulingGates": [{"name": "g"}], "nodeSelector": {"a": "b"}}});
        let mut new = old.clone();
        new["spec"]["nodeSelector"]["c"] = json!("d");
        new["spec"]["affinity"] =
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}});
        assert_eq!(validate(&new, &old), []);
        new["spec"]["nodeSelector"] = json!({"a": "c"});
        assert_eq!(validate(&new, &old).len(), 1);
    }
}
