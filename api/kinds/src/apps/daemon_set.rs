//! DaemonSet.

use serde_json::{Value, json};

use super::{SPEC, STATUS, at_most_all, count, number_or_percent, validate_collisions};
use crate::equality::same;
use crate::findings::Findings;
use crate::kind::{age, column, integer, keep_status, set_generation, set_status, status, wide};
use crate::path::{default, default_text, has, part, text};
use crate::pod_template::{self, wide_cells};
use crate::selector::Selector;
use crate::{Causes, Cell, Kind, Strategy, path};

/// The older count of template changes, which `kubectl` no longer shows but the API still has as an annotation.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// DaemonSet.
pub static DAEMON_SET: Kind = Kind {
    group: "apps",
    kind: "DaemonSet",
    plural: "daemonsets",
    singular: "daemonset",
    short_names: &["ds"],
    categories: &["all"],
    schema: "io.k8s.api.apps.v1.DaemonSet",
    subresources: &[status("DaemonSet")],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            set_generation(object, 1);
            set_status(
                object,
                json!({
                    "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
                }),
            );
            count_template(object, 1);
        },
        prepare_update,
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable(SPEC.field("selector"), &new["spec"]["selector"], &old["spec"]["selector"]);
            findings.done()
        },
        validate_status: |new, old| {
            let mut findings = Findings::default();
            let counts = [
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "observedGeneration",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
                "collisionCount",
            ];
            findings.non_negatives(STATUS, &new["status"], &counts);
            validate_collisions(new, old, &mut findings);
            findings.done()
        },
        ..Strategy::SPEC_AND_STATUS
    },
    columns: &[
        integer("Desired"),
        integer("Current"),
        integer("Ready"),
        integer("Up-to-date"),
        integer("Available"),
        column("Node Selector"),
        column("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells,
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    if let Some(metadata) = part(object, "metadata") {
        default(metadata, "annotations", || json!({}));
        // Its writer owns the annotation, whoever counts.
        default(&mut metadata["annotations"], TEMPLATE_GENERATION, || "0".into());
    }
    let Some(spec) = part(object, "spec") else { return };
    pod_template::default(spec);
    default(spec, "updateStrategy", || json!({}));
    let strategy = &mut spec["updateStrategy"];
    default_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default(strategy, "rollingUpdate", || json!({}));
        default(&mut strategy["rollingUpdate"], "maxUnavailable", || 1.into());
        default(&mut strategy["rollingUpdate"], "maxSurge", || 0.into());
    }
    default(spec, "revisionHistoryLimit", || 10.into());
}

fn count_template(object: &mut Value, generation: i64) {
    let Some(metadata) = part(object, "metadata") else { return };
    metadata["annotations"][TEMPLATE_GENERATION] = generation.to_string().into();
}

fn prepare_update(new: &mut Value, old: &Value) {
    keep_status(new, old);
    let generation = path::integer(&old["metadata"], "generation");
    let templates =
        old["metadata"]["annotations"][TEMPLATE_GENERATION].as_str().and_then(|g| g.parse().ok()).unwrap_or(1);
    let new_template = !same(&new["spec"]["template"], &old["spec"]["template"]);
    let new_spec = new_template || !same(&new["spec"], &old["spec"]);
    count_template(new, templates + i64::from(new_template));
    set_generation(new, generation + i64::from(new_spec));
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    pod_template::validate_selector(spec, "daemonset", SPEC, &mut findings);
    pod_template::validate_endless(&spec["template"], "DaemonSet", SPEC.field("template"), &mut findings);
    findings.non_negatives(SPEC, spec, &["minReadySeconds", "revisionHistoryLimit"]);
    let (strategy, at) = (&spec["updateStrategy"], SPEC.field("updateStrategy"));
    match text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" if !has(strategy, "rollingUpdate") => findings.required(at.field("rollingUpdate"), ""),
        "RollingUpdate" => {
            let (update, at) = (&strategy["rollingUpdate"], at.field("rollingUpdate"));
            let unavailable = number_or_percent(&update["maxUnavailable"], at.field("maxUnavailable"), &mut findings);
            let surge = number_or_percent(&update["maxSurge"], at.field("maxSurge"), &mut findings);
            at_most_all(&update["maxUnavailable"], at.field("maxUnavailable"), &mut findings);
            at_most_all(&update["maxSurge"], at.field("maxSurge"), &mut findings);
            if unavailable != 0 && surge != 0 {
                let message = "may not be set when maxUnavailable is non-zero";
                findings.invalid(at.field("maxSurge"), &update["maxSurge"], message);
            } else if unavailable == 0 && surge == 0 {
                findings.required(at.field("maxUnavailable"), "cannot be 0 when maxSurge is 0");
            }
        }
        _ => findings.unsupported(at, strategy, &["RollingUpdate", "OnDelete"]),
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let [containers, images, selector] = wide_cells(&object["spec"]);
    let nodes = Selector::from_map(&object["spec"]["template"]["spec"]["nodeSelector"]);
    let nodes = if nodes.is_empty() { "<none>".to_owned() } else { nodes.to_string() };
    vec![
        count(object, "desiredNumberScheduled").into(),
        count(object, "currentNumberScheduled").into(),
        count(object, "numberReady").into(),
        count(object, "updatedNumberScheduled").into(),
        count(object, "numberAvailable").into(),
        nodes.into(),
        age(object, now_us),
        containers,
        images,
        selector,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_daemon_set_is_defaulted_and_sound() {
        let mut object = json!({"metadata": {"name": "a"}, "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        }});
        set_defaults(&mut object);
        (DAEMON_SET.strategy.prepare_create)(&mut object);
        assert_eq!(validate(&object), []);
        assert_eq!(object["metadata"]["annotations"][TEMPLATE_GENERATION], "1");
        let mut new = object.clone();
        new["spec"]["template"]["spec"]["containers"][0]["image"] = json!("i:2");
        prepare_update(&mut new, &object);
        assert_eq!(new["metadata"]["annotations"][TEMPLATE_GENERATION], "2");
        assert_eq!(new["metadata"]["generation"], 2);
        new["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"] = json!(1);
        assert_eq!(
            validate(&new)[0].to_string(),
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"
        );
    }
}
