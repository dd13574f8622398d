//! ReplicationController: what ReplicaSets were before they had sets of labels to select by.

use serde_json::{Value, json};

use crate::apps::replica_set;
use crate::findings::Findings;
use crate::kind::{SCALE, age, set_generation, set_status, status};
use crate::path::{self, Path, count, default, part, set};
use crate::pod_template::{self, container_cells};
use crate::selector::Selector;
use crate::{Causes, Cell, Kind, Strategy};

/// ReplicationController.
pub static REPLICATION_CONTROLLER: Kind = Kind {
    kind: "ReplicationController",
    plural: "replicationcontrollers",
    singular: "replicationcontroller",
    short_names: &["rc"],
    categories: &["all"],
    schema: "io.k8s.api.core.v1.ReplicationController",
    subresources: &[SCALE, status("ReplicationController")],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            set_generation(object, 1);
            set_status(object, json!({"replicas": 0}));
        },
        validate,
        validate_status: replica_set::validate_status,
        ..Strategy::SPEC_AND_STATUS
    },
    columns: replica_set::COLUMNS,
    cells,
    selectable: &[("status.replicas", |o| path::integer(&o["status"], "replicas").to_string())],
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");

/// Labels and selector are those of the template, where nothing else is said.
fn set_defaults(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let Some(spec) = part(object, "spec") else { return };
    default(spec, "replicas", || 1.into());
    if labels.is_object() && count(spec, "selector") == 0 {
        set(spec, "selector", labels.clone());
    }
    if spec["template"].is_object() {
        pod_template::default(spec);
    }
    if let Some(metadata) = part(object, "metadata").filter(|m| labels.is_object() && count(m, "labels") == 0) {
        set(metadata, "labels", labels);
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    findings.non_negatives(SPEC, spec, &["minReadySeconds", "replicas"]);
    if count(spec, "selector") == 0 {
        findings.required(SPEC.field("selector"), "");
    }
    let (template, at) = (&spec["template"], SPEC.field("template"));
    if !template.is_object() {
        findings.required(at, "");
        return findings.done();
    }
    let labels = &template["metadata"]["labels"];
    if count(spec, "selector") > 0 && !Selector::from_map(&spec["selector"]).matches_json(labels) {
        let at = at.field("metadata");
        findings.invalid(at.field("labels"), labels, "`selector` does not match template `labels`");
    }
    pod_template::validate_endless(template, "ReplicationController", at, &mut findings);
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let [containers, images] = container_cells(&object["spec"]);
    let status = |field: &str| path::integer(&object["status"], field).into();
    vec![
        path::integer(&object["spec"], "replicas").into(),
        status("replicas"),
        status("readyReplicas"),
        age(object, now_us),
        containers,
        images,
        Selector::from_map(&object["spec"]["selector"]).to_string().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_selects_is_what_it_makes() {
        let mut object = json!({
            "metadata": {"name": "a"},
            "spec": {"template": {
                "metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
            }},
        });
        set_defaults(&mut object);
        assert_eq!(object["spec"]["selector"], json!({"app": "a"}));
        assert_eq!(object["metadata"]["labels"], json!({"app": "a"}));
        assert_eq!(object["spec"]["replicas"], 1);
        assert_eq!(validate(&object), Vec::new());
        object["spec"]["selector"] = json!({"app": "b"});
        let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`"
            ]
        );
    }
}
