//! Pod templates, as workloads have them.

use serde_json::{Map, Value};

use crate::findings::Findings;
use crate::path::{Path, count, items, part, text};
use crate::{Cell, meta, pod, selector};

/// Fills in what a template in `spec.template` leaves out.
pub fn default(owner_spec: &mut Value) {
    let Value::Object(owner) = owner_spec else { return };
    // A template is there even when nothing is said of it.
    let template = owner.entry("template").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(template) = template {
        template.entry("spec").or_insert_with(|| Value::Object(Map::new()));
    }
    if let Some(spec) = part(owner_spec, "template").and_then(|template| part(template, "spec")) {
        pod::default_spec(spec);
    }
}

/// Findings about a template (`ValidatePodTemplateSpec`).
pub fn validate(template: &Value, at: Path<'_>, findings: &mut Findings) {
    meta::labels(&template["metadata"], at, "labels", findings);
    meta::annotations(&template["metadata"], at, "annotations", findings);
    let at_spec = at.field("spec");
    pod::validate_spec(&template["spec"], at_spec, findings);
    if count(&template["spec"], "ephemeralContainers") > 0 {
        findings.forbidden(at_spec.field("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

/// Findings about a template whose pods run for ever, on behalf of a workload of this kind.
pub fn validate_endless(template: &Value, kind: &str, at: Path<'_>, findings: &mut Findings) {
    validate(template, at, findings);
    let (spec, at) = (&template["spec"], at.field("spec"));
    if text(spec, "restartPolicy") != "Always" {
        findings.unsupported(at.field("restartPolicy"), text(spec, "restartPolicy"), &["Always"]);
    }
    if spec["activeDeadlineSeconds"].is_number() {
        let message = format!("activeDeadlineSeconds in {kind} is not Supported");
        findings.forbidden(at.field("activeDeadlineSeconds"), &message);
    }
}

/// Findings about a selector and the template whose pods it must select. The workload is named as in
/// `empty selector is invalid for deployment`.
pub fn validate_selector(spec: &Value, workload: &str, at: Path<'_>, findings: &mut Findings) {
    let wanted = &spec["selector"];
    let at_selector = at.field("selector");
    if wanted.is_object() {
        let mut found = Findings::default();
        selector::validate(wanted, at_selector, &mut found);
        let unsound = !found.is_empty();
        findings.extend(found.done());
        if count(wanted, "matchLabels") + count(wanted, "matchExpressions") == 0 {
            findings.invalid(at_selector, wanted, &format!("empty selector is invalid for {workload}"));
        }
        if unsound {
            return match workload {
                "daemonset" => {}
                "statefulset" => findings.invalid(at_selector, wanted, ""),
                _ => findings.invalid(at_selector, wanted, "invalid label selector"),
            };
        }
    } else {
        findings.required(at_selector, "");
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if !selector::Selector::from_object(wanted).matches_json(labels) {
        let at_template = at.field("template");
        let at_metadata = at_template.field("metadata");
        findings.invalid(at_metadata.field("labels"), labels, "`selector` does not match template `labels`");
    }
}

/// The wide columns Containers and Images of a workload's spec.
pub fn container_cells(spec: &Value) -> [Cell; 2] {
    let containers = items(&spec["template"]["spec"], "containers");
    let join = |field: &str| containers.iter().map(|c| text(c, field)).collect::<Vec<_>>().join(",");
    [join("name").into(), join("image").into()]
}

/// The wide columns Containers, Images and Selector of a workload.
pub fn wide_cells(spec: &Value) -> [Cell; 3] {
    let [names, images] = container_cells(spec);
    [names, images, selector::format(&spec["selector"]).into()]
}
