//! Workloads (apps/v1).

pub mod deployment;
pub mod replica_set;

use serde_json::Value;

use crate::path::{Findings, default};
use crate::pod::{Context, default_spec, validate_spec};
use crate::selector::{self, Selector};
use crate::{Cell, meta, scale};

/// Defaults of a workload's pod template.
fn default_template(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    default(spec, "replicas", || 1.into());
    if let Some(pod) = spec.get_mut("template").and_then(|t| t.get_mut("spec")) {
        default_spec(pod);
    }
}

/// What all workloads with a selector and a template must satisfy.
fn validate_workload(object: &Value, findings: &mut Findings) {
    let spec = &object["spec"];
    findings.not_negative("spec.replicas", &spec["replicas"]);
    findings.not_negative("spec.minReadySeconds", &spec["minReadySeconds"]);
    let selects = Selector::from_object(&spec["selector"]);
    if !spec["selector"].is_object() {
        findings.required("spec.selector", "");
    } else {
        findings.extend(selector::validate(&spec["selector"], "spec.selector"));
        if selects.is_empty() {
            findings.invalid("spec.selector", &spec["selector"], "empty selector is invalid for deployment");
        }
    }
    let template = &spec["template"];
    let labels = &template["metadata"]["labels"];
    if !selects.is_empty() && !selects.matches_json(labels) {
        findings.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
    }
    meta::labels(template["metadata"].get("labels"), "spec.template.labels", findings);
    meta::annotations(template["metadata"].get("annotations"), "spec.template.annotations", findings);
    findings.extend(validate_spec(&template["spec"], "spec.template.spec", Context::RestartAlways));
}

/// The wide columns Containers, Images, Selector.
fn wide_cells(object: &Value) -> [Cell; 3] {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let join = |field: &str| containers.iter().filter_map(|c| c[field].as_str()).collect::<Vec<_>>().join(",");
    [join("name").into(), join("image").into(), scale::selector_text(&object["spec"]["selector"]).into()]
}

fn count(object: &Value, field: &str) -> i64 {
    object["status"][field].as_i64().unwrap_or(0)
}
