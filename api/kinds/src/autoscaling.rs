//! HorizontalPodAutoscaler (autoscaling/v2). Stored, defaulted and judged; nothing scales yet.

use serde_json::{Value, json};

use crate::findings::Findings;
use crate::kind::{age, column, set_generation, set_status, status};
use crate::path::{Path, default, each_mut, has, integer, items, part, text};
use crate::quantity::{Quantity, canonicalize};
use crate::{Causes, Cell, Kind, Strategy, names};

/// HorizontalPodAutoscaler.
pub static HORIZONTAL_POD_AUTOSCALER: Kind = Kind {
    group: "autoscaling",
    version: "v2",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    schema: "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    subresources: &[status("HorizontalPodAutoscaler")],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            set_generation(object, 1);
            set_status(object, json!({"desiredReplicas": 0, "currentMetrics": null}));
        },
        validate,
        ..Strategy::SPEC_AND_STATUS
    },
    columns: &[
        column("Reference"),
        column("Targets"),
        column("MinPods"),
        column("MaxPods"),
        column("Replicas"),
        column("Age"),
    ],
    cells,
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");
/// Where metrics come from, and the field that says so.
const SOURCES: &[(&str, &str)] = &[
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn set_defaults(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    default(spec, "minReplicas", || 1.into());
    if items(spec, "metrics").is_empty() {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        crate::path::set(spec, "metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
    for metric in each_mut(spec, "metrics") {
        for (_, source) in SOURCES {
            let Some(target) = part(metric, source).and_then(|s| part(s, "target")) else { continue };
            for field in ["value", "averageValue"] {
                if let Some(amount) = part(target, field) {
                    canonicalize(amount);
                }
            }
        }
    }
    let Some(behavior) = part(spec, "behavior") else { return };
    for direction in ["scaleUp", "scaleDown"] {
        default(behavior, direction, || json!({}));
        let rules = &mut behavior[direction];
        default(rules, "selectPolicy", || "Max".into());
        if direction == "scaleUp" {
            default(rules, "stabilizationWindowSeconds", || 0.into());
        }
        default(rules, "policies", || match direction {
            "scaleUp" => {
                json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}])
            }
            _ => json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]),
        });
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    let (least, most) = (integer(spec, "minReplicas"), integer(spec, "maxReplicas"));
    if least < 0 {
        findings.invalid(SPEC.field("minReplicas"), least, crate::findings::NEGATIVE);
    }
    let at = SPEC.field("maxReplicas");
    if most == 0 {
        findings.required(at, "");
    } else if most < 0 {
        findings.invalid(at, most, "must be greater than or equal to 1");
    }
    if most < least {
        findings.invalid(at, most, "must be greater than or equal to `minReplicas`");
    }
    let at = SPEC.field("scaleTargetRef");
    for field in ["kind", "name"] {
        match text(&spec["scaleTargetRef"], field) {
            "" => findings.required(at.field(field), ""),
            name => findings.names(at.field(field), name, names::path_segment(name)),
        }
    }
    if !text(&spec["scaleTargetRef"], "apiVersion").contains('/') {
        let version = text(&spec["scaleTargetRef"], "apiVersion");
        findings.invalid(at.field("apiVersion"), version, "apiVersion must specify API group");
    }
    let list = SPEC.field("metrics");
    for (index, one) in items(spec, "metrics").iter().enumerate() {
        metric(one, list.index(index), &mut findings);
    }
    let outside = items(spec, "metrics").iter().any(|m| matches!(text(m, "type"), "Object" | "External"));
    if least == 0 && !outside {
        let message = "must specify at least one Object or External metric to support scaling to zero replicas";
        findings.forbidden(list, message);
    }
    findings.done()
}

fn metric(metric: &Value, at: Path<'_>, findings: &mut Findings) {
    let kind = text(metric, "type");
    if kind.is_empty() {
        findings.required(at.field("type"), "must specify a metric source type");
    }
    let Some((_, source)) = SOURCES.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
        return findings.unsupported(at.field("type"), kind, &names);
    };
    if !has(metric, source) {
        findings.required(at.field(source), "must populate information for the given metric source");
    }
    for (_, other) in SOURCES.iter().filter(|(_, other)| other != source && has(metric, other)) {
        findings.forbidden(at.field(other), "must populate the given metric source only");
    }
    if matches!(kind, "Resource" | "ContainerResource") && has(metric, source) {
        resource(&metric[*source], at.field(source), findings);
    }
}

fn resource(source: &Value, at: Path<'_>, findings: &mut Findings) {
    if text(source, "name").is_empty() {
        findings.required(at.field("name"), "must specify a resource name");
    }
    let (target, at) = (&source["target"], at.field("target"));
    match text(target, "type") {
        "" => findings.required(at.field("type"), "must specify a metric target type"),
        "Utilization" | "Value" | "AverageValue" => {}
        other => findings.invalid(at.field("type"), other, "must be either Utilization, Value, or AverageValue"),
    }
    if target["averageUtilization"].as_i64().is_some_and(|share| share < 1) {
        findings.invalid(at.field("averageUtilization"), &target["averageUtilization"], "must be greater than 0");
    }
    match (has(target, "averageUtilization"), has(target, "averageValue")) {
        (false, false) => {
            let message = "must set either a target raw value or a target utilization";
            findings.required(at.field("averageUtilization"), message);
        }
        (true, true) => {
            let message = "may not set both a target raw value and a target utilization";
            findings.forbidden(at.field("averageValue"), message);
        }
        _ => {}
    }
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    let least = spec["minReplicas"].as_i64().map_or_else(|| "<unset>".to_owned(), |n| n.to_string());
    let metrics = items(spec, "metrics");
    let current = items(status, "currentMetrics");
    let shown: Vec<String> =
        metrics.iter().enumerate().take(2).map(|(index, metric)| metric_cell(metric, current.get(index))).collect();
    let targets = match metrics.len() {
        0 => "<none>".to_owned(),
        1 | 2 => shown.join(", "),
        more => format!("{} + {} more...", shown.join(", "), more - 2),
    };
    vec![
        format!("{}/{}", text(target, "kind"), text(target, "name")).into(),
        targets.into(),
        least.into(),
        integer(spec, "maxReplicas").into(),
        integer(status, "currentReplicas").into(),
        age(object, now_us),
    ]
}

/// `cpu: 35%/80%`
fn metric_cell(metric: &Value, current: Option<&Value>) -> String {
    let kind = text(metric, "type");
    let Some((_, field)) = SOURCES.iter().find(|(name, _)| *name == kind) else { return "<unknown type>".to_owned() };
    let (source, now) = (&metric[*field], current.map_or(&Value::Null, |c| &c[*field]["current"]));
    let amount = |holder: &Value, field: &str| Quantity::of_json(&holder[field]).map(|q| q.to_string());
    let unknown = || "<unknown>".to_owned();
    let target = &source["target"];
    let average = has(target, "averageValue");
    let value = if average { "averageValue" } else { "value" };
    match kind {
        "Resource" | "ContainerResource" if !average => {
            let share = |holder: &Value| holder["averageUtilization"].as_i64().map(|n| format!("{n}%"));
            let wanted = share(target).unwrap_or_else(|| "<auto>".to_owned());
            format!("{}: {}/{wanted}", text(source, "name"), share(now).unwrap_or_else(unknown))
        }
        _ => {
            let (now, wanted) = (amount(now, value).unwrap_or_else(unknown), amount(target, value).unwrap_or_default());
            match kind {
                "Resource" | "ContainerResource" => format!("{}: {now}/{wanted}", text(source, "name")),
                "Object" | "External" if average => format!("{now}/{wanted} (avg)"),
                _ => format!("{now}/{wanted}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autoscalers_are_defaulted_judged_and_shown() {
        let mut object = json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5, "behavior": {}}});
        set_defaults(&mut object);
        assert_eq!(validate(&object), []);
        assert_eq!(object["spec"]["behavior"]["scaleDown"]["selectPolicy"], "Max");
        assert_eq!(
            cells(&object, 0)[..4],
            [json!("Deployment/web"), json!("cpu: <unknown>/80%"), json!("1"), json!(5)]
        );
        object["spec"]["maxReplicas"] = json!(0);
        let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "spec.maxReplicas: Required value",
                "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
            ]
        );
    }
}
