//! LimitRange. Stored and judged; nothing enforces it yet.

use serde_json::{Map, Value, json};

use crate::findings::Findings;
use crate::path::{Path, count, each_mut, entries, has, items, part, set, text};
use crate::pod::resource_name;
use crate::quantity::{Quantity, canonicalize_list};
use crate::{Causes, Column, Kind, Strategy, names};

/// LimitRange.
pub static LIMIT_RANGE: Kind = Kind {
    kind: "LimitRange",
    plural: "limitranges",
    singular: "limitrange",
    short_names: &["limits"],
    schema: "io.k8s.api.core.v1.LimitRange",
    strategy: Strategy {
        default: |object| {
            if let Some(spec) = part(object, "spec") {
                each_mut(spec, "limits").for_each(set_defaults);
            }
        },
        validate,
        ..Strategy::PLAIN
    },
    columns: &[Column { name: "Created At", kind: "date", format: "", priority: 0 }],
    cells: |object, _| vec![object["metadata"]["creationTimestamp"].clone()],
    ..Kind::BASE
};

const LISTS: &[&str] = &["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// For containers, what is not said follows from what is.
fn set_defaults(limit: &mut Value) {
    for list in LISTS {
        if let Some(list) = part(limit, list) {
            canonicalize_list(list);
        }
    }
    if text(limit, "type") != "Container" {
        return;
    }
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let known: Map<String, Value> = limit[from].as_object().cloned().unwrap_or_default();
        if !known.is_empty() && !has(limit, to) {
            set(limit, to, json!({}));
        }
        for (name, amount) in known {
            crate::path::default(&mut limit[to], &name, || amount);
        }
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let list = Path::root("spec.limits");
    let mut seen = Vec::new();
    for (index, limit) in items(&object["spec"], "limits").iter().enumerate() {
        let at = list.index(index);
        let kind = text(limit, "type");
        findings.names(at.field("type"), kind, names::qualified_name(kind));
        if !kind.contains('/') && !["Pod", "Container", "PersistentVolumeClaim"].contains(&kind) {
            findings.invalid(at.field("type"), kind, "must be a standard limit type or fully qualified");
        }
        if seen.contains(&kind) {
            findings.duplicate(at.field("type"), kind);
        }
        seen.push(kind);
        for field in LISTS {
            for (name, _) in entries(limit, field) {
                resource_name(name, at.field(field).key(name), &mut findings);
            }
        }
        if kind == "Pod" {
            for field in ["default", "defaultRequest"] {
                if count(limit, field) > 0 {
                    findings.forbidden(at.field(field), "may not be specified when `type` is 'Pod'");
                }
            }
        }
        if kind == "PersistentVolumeClaim" && !has(&limit["min"], "storage") && !has(&limit["max"], "storage") {
            let message = "either minimum or maximum storage value is required, but neither was provided";
            findings.required(at.field("limits"), message);
        }
        order(limit, at, &mut findings);
    }
    findings.done()
}

/// No amount may contradict another.
fn order(limit: &Value, at: Path<'_>, findings: &mut Findings) {
    let mut known: Vec<&str> = LISTS.iter().flat_map(|list| entries(limit, list)).map(|(name, _)| name).collect();
    known.sort_unstable();
    known.dedup();
    for name in known {
        let amount = |list: &str| Quantity::of_json(&limit[list][name]);
        for (small, large, shown, message) in [
            ("min", "max", "min", "min value {} is greater than max value {}"),
            ("min", "defaultRequest", "defaultRequest", "min value {} is greater than default request value {}"),
            ("defaultRequest", "max", "defaultRequest", "default request value {} is greater than max value {}"),
            (
                "defaultRequest",
                "default",
                "defaultRequest",
                "default request value {} is greater than default limit value {}",
            ),
            ("min", "default", "default", "min value {} is greater than default value {}"),
            ("default", "max", "default", "default value {} is greater than max value {}"),
        ] {
            let (Some(less), Some(more)) = (amount(small), amount(large)) else { continue };
            if less > more {
                let message = message.replacen("{}", &less.to_string(), 1).replacen("{}", &more.to_string(), 1);
                // Of a default, Kubernetes shows the bound that it breaks.
                let value = match (small, large) {
                    ("min", "default") => &limit["min"][name],
                    ("default", "max") => &limit["max"][name],
                    _ => &limit[shown][name],
                };
                findings.invalid(at.field(shown).key(name), value, &message);
            }
        }
        if let Some(ratio) = amount("maxLimitRequestRatio").filter(|ratio| *ratio < Quantity::from_value(1)) {
            let message = format!("ratio {ratio} is less than 1");
            findings.invalid(
                at.field("maxLimitRequestRatio").key(name),
                &limit["maxLimitRequestRatio"][name],
                &message,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_follows_from_what_is() {
        let mut limit = json!({"type": "Container", "max": {"cpu": "2000m"}, "min": {"memory": "64Mi"}});
        set_defaults(&mut limit);
        assert_eq!(limit["default"], json!({"cpu": "2"}));
        assert_eq!(limit["defaultRequest"], json!({"cpu": "2", "memory": "64Mi"}));
    }

    #[test]
    fn amounts_may_not_contradict_each_other() {
        let check = |limit: Value, expected: &[&str]| {
            let found: Vec<String> =
                validate(&json!({"spec": {"limits": [limit]}})).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}}), &[]);
        check(
            json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}),
            &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
        );
        check(
            json!({"type": "Pod", "default": {"cpu": "1"}}),
            &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
        );
    }
}
