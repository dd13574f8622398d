//! PriorityClass (scheduling.k8s.io/v1).

use serde_json::{Value, json};

use crate::findings::Findings;
use crate::kind::{age, boolean, column, integer, set_generation};
use crate::path::{self, Path, default, is_true, text};
use crate::{Causes, Kind, Scope, Strategy};

/// The highest value that users' classes may have.
pub const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;

/// Name and value of the classes that every cluster has, and what they are for.
pub const SYSTEM_CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

/// PriorityClass.
pub static PRIORITY_CLASS: Kind = Kind {
    group: "scheduling.k8s.io",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    scope: Scope::Cluster,
    schema: "io.k8s.api.scheduling.v1.PriorityClass",
    strategy: Strategy {
        default: |object| {
            default(object, "preemptionPolicy", || "PreemptLowerPriority".into());
            default(object, "value", || 0.into());
        },
        prepare_create: |object| set_generation(object, 1),
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            if new["value"] != old["value"] {
                findings.forbidden(Path::root("value"), "may not be changed in an update.");
            }
            let at = Path::root("preemptionPolicy");
            findings.immutable(at, &new["preemptionPolicy"], &old["preemptionPolicy"]);
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[integer("Value"), boolean("Global-Default"), column("Age"), column("PreemptionPolicy")],
    cells: |object, now_us| {
        vec![
            path::integer(object, "value").into(),
            is_true(object, "globalDefault").into(),
            age(object, now_us),
            text(object, "preemptionPolicy").into(),
        ]
    },
    ..Kind::BASE
};

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let (name, value) = (text(&object["metadata"], "name"), path::integer(object, "value"));
    if name.starts_with("system-") {
        let reserved = "priority class names with 'system-' prefix are reserved for system use only. error:";
        let at = Path::root("metadata.name");
        match SYSTEM_CLASSES.iter().find(|(known, _, _)| *known == name) {
            None => {
                findings.forbidden(at, &format!("{reserved} {name} is not a known system priority class"));
            }
            Some((_, known, _)) if *known != value => {
                findings.forbidden(at, &format!("{reserved} value of {name} PriorityClass must be {known}"));
            }
            Some(_) if is_true(object, "globalDefault") => {
                findings.forbidden(at, &format!("{reserved} globalDefault of {name} PriorityClass must be false"));
            }
            Some(_) => {}
        }
    } else if value > HIGHEST_USER_PRIORITY {
        let message = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
        findings.forbidden(Path::root("value"), &message);
    }
    findings.one_of(
        Path::root("preemptionPolicy"),
        text(object, "preemptionPolicy"),
        &["PreemptLowerPriority", "Never"],
    );
    findings.done()
}

/// A class that every cluster has, as an object.
pub fn system_class((name, value, description): (&str, i64, &str)) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_keeps_names_and_values_for_itself() {
        let check = |name: &str, value: i64, expected: &[&str]| {
            let mut object = json!({"metadata": {"name": name}, "value": value});
            (PRIORITY_CLASS.strategy.default)(&mut object);
            let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check("high", 1_000_000, &[]);
        check("system-node-critical", 2_000_001_000, &[]);
        check(
            "high",
            1_000_000_001,
            &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
        );
        check(
            "system-mine",
            1,
            &[
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
            ],
        );
    }
}
