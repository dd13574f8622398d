//! Deployment.

use serde_json::{Value, json};

use super::{count, default_template, validate_workload, wide_cells};
use crate::kind::{SCALE, age, bump_generation, column, keep_status, status, wide};
use crate::path::{Findings, default, text};
use crate::{Causes, Kind, Strategy};

/// Deployment.
pub static DEPLOYMENT: Kind = Kind {
    group: "apps",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    schema: "io.k8s.api.apps.v1.Deployment",
    subresources: &[SCALE, status("Deployment")],
    strategy: Strategy {
        default: set_defaults,
        prepare_update: |new, old| {
            keep_status(new, old);
            bump_generation(new, old);
        },
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable("spec.selector", &new["spec"]["selector"], &old["spec"]["selector"]);
            findings.done()
        },
        ..Strategy::SPEC_AND_STATUS
    },
    columns: &[
        column("Ready"),
        column("Up-to-date"),
        column("Available"),
        column("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |object, now_us| {
        let [containers, images, selector] = wide_cells(object);
        let desired = object["spec"]["replicas"].as_i64().unwrap_or(0);
        vec![
            format!("{}/{desired}", count(object, "readyReplicas")).into(),
            count(object, "updatedReplicas").into(),
            count(object, "availableReplicas").into(),
            age(object, now_us),
            containers,
            images,
            selector,
        ]
    },
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    default_template(object);
    let Some(spec) = object.get_mut("spec") else { return };
    default(spec, "strategy", || json!({}));
    default(&mut spec["strategy"], "type", || "RollingUpdate".into());
    if spec["strategy"]["type"] == "RollingUpdate" {
        default(&mut spec["strategy"], "rollingUpdate", || json!({}));
        default(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", || "25%".into());
        default(&mut spec["strategy"]["rollingUpdate"], "maxSurge", || "25%".into());
    }
    default(spec, "revisionHistoryLimit", || 10.into());
    default(spec, "progressDeadlineSeconds", || 600.into());
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    validate_workload(object, &mut findings);
    let spec = &object["spec"];
    let strategy = &spec["strategy"];
    match text(strategy, "type") {
        "Recreate" if strategy["rollingUpdate"].is_object() => {
            findings
                .forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" => rolling(&strategy["rollingUpdate"], &mut findings),
        other => findings.unsupported("spec.strategy.type", other, &["Recreate", "RollingUpdate"]),
    }
    findings.not_negative("spec.revisionHistoryLimit", &spec["revisionHistoryLimit"]);
    findings.not_negative("spec.progressDeadlineSeconds", &spec["progressDeadlineSeconds"]);
    let (deadline, ready) = (&spec["progressDeadlineSeconds"], spec["minReadySeconds"].as_i64().unwrap_or(0));
    if deadline.as_i64().is_some_and(|d| d <= ready) {
        findings.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds");
    }
    findings.done()
}

fn rolling(update: &Value, findings: &mut Findings) {
    let mut zeros = 0;
    for field in ["maxUnavailable", "maxSurge"] {
        let path = format!("spec.strategy.rollingUpdate.{field}");
        match &update[field] {
            Value::String(text) => match text.strip_suffix('%').and_then(|n| n.parse::<i64>().ok()) {
                Some(share) if share > 100 && field == "maxUnavailable" => {
                    findings.invalid(&path, &update[field], "must not be greater than 100%");
                }
                Some(share) => zeros += i32::from(share == 0),
                None => findings.invalid(&path, &update[field], "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"),
            },
            number => {
                findings.not_negative(&path, number);
                zeros += i32::from(number.as_i64() == Some(0));
            }
        }
    }
    if zeros == 2 {
        let path = "spec.strategy.rollingUpdate.maxUnavailable";
        findings.invalid(path, &update["maxUnavailable"], "may not be 0 when `maxSurge` is 0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Value {
        json!({"spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        }})
    }

    fn findings(change: impl Fn(&mut Value)) -> Vec<String> {
        let mut object = web();
        change(&mut object);
        set_defaults(&mut object);
        validate(&object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults_are_kubernetes_own_and_valid() {
        let mut object = web();
        set_defaults(&mut object);
        assert_eq!(
            object["spec"]["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
        );
        assert_eq!((&object["spec"]["replicas"], &object["spec"]["progressDeadlineSeconds"]), (&json!(1), &json!(600)));
        assert_eq!(findings(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn findings_are_worded_as_kubernetes_words_them() {
        assert_eq!(
            findings(|d| d["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"})),
            [
                "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`"
            ]
        );
        assert_eq!(
            findings(|d| d["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}})),
            ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"]
        );
        assert_eq!(
            findings(|d| d["spec"]["template"]["spec"]["restartPolicy"] = json!("Never")),
            ["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""]
        );
    }
}
