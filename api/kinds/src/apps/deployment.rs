//! Deployment.

use serde_json::{Value, json};

use super::{
    SPEC, at_most_all, bump_generation_with_annotations, count, number_or_percent, validate_collisions, validate_counts,
};
use crate::findings::Findings;
use crate::kind::{SCALE, age, column, keep_all_but_status, keep_status, status, wide};
use crate::path::{default, default_text, has, integer, part, set, text};
use crate::pod_template::{self, wide_cells};
use crate::{Causes, Cell, Kind, Strategy};

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
            bump_generation_with_annotations(new, old);
        },
        prepare_status: |new, old| {
            keep_all_but_status(new, old);
            let labels = old["metadata"].get("labels").cloned();
            set(&mut new["metadata"], "labels", labels.unwrap_or_else(|| json!({})));
        },
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable(SPEC.field("selector"), &new["spec"]["selector"], &old["spec"]["selector"]);
            findings.done()
        },
        validate_status,
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
    cells,
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    pod_template::default(spec);
    default(spec, "replicas", || 1.into());
    default(spec, "strategy", || json!({}));
    let strategy = &mut spec["strategy"];
    default_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        default(strategy, "rollingUpdate", || json!({}));
        default(&mut strategy["rollingUpdate"], "maxUnavailable", || "25%".into());
        default(&mut strategy["rollingUpdate"], "maxSurge", || "25%".into());
    }
    default(spec, "revisionHistoryLimit", || 10.into());
    default(spec, "progressDeadlineSeconds", || 600.into());
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    findings.non_negative(SPEC.field("replicas"), &spec["replicas"]);
    pod_template::validate_selector(spec, "deployment", SPEC, &mut findings);
    pod_template::validate_endless(&spec["template"], "ReplicaSet", SPEC.field("template"), &mut findings);
    strategy(&spec["strategy"], &mut findings);
    findings.non_negatives(SPEC, spec, &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"]);
    let deadline = spec["progressDeadlineSeconds"].as_i64();
    if let Some(seconds) = deadline.filter(|seconds| *seconds <= integer(spec, "minReadySeconds")) {
        findings.invalid(SPEC.field("progressDeadlineSeconds"), seconds, "must be greater than minReadySeconds");
    }
    findings.done()
}

fn strategy(strategy: &Value, findings: &mut Findings) {
    let at = SPEC.field("strategy");
    match text(strategy, "type") {
        "Recreate" if has(strategy, "rollingUpdate") => {
            findings.forbidden(at.field("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let (update, at) = (&strategy["rollingUpdate"], at.field("rollingUpdate"));
            let unavailable = number_or_percent(&update["maxUnavailable"], at.field("maxUnavailable"), findings);
            let surge = number_or_percent(&update["maxSurge"], at.field("maxSurge"), findings);
            if unavailable == 0 && surge == 0 {
                let message = "may not be 0 when `maxSurge` is 0";
                findings.invalid(at.field("maxUnavailable"), &update["maxUnavailable"], message);
            }
            at_most_all(&update["maxUnavailable"], at.field("maxUnavailable"), findings);
        }
        _ => findings.unsupported(at, strategy, &["Recreate", "RollingUpdate"]),
    }
}

fn validate_status(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let counts = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ];
    validate_counts(new, &counts, &["updatedReplicas", "readyReplicas", "availableReplicas"], &mut findings);
    validate_collisions(new, old, &mut findings);
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let [containers, images, selector] = wide_cells(&object["spec"]);
    vec![
        format!("{}/{}", count(object, "readyReplicas"), integer(&object["spec"], "replicas")).into(),
        count(object, "updatedReplicas").into(),
        count(object, "availableReplicas").into(),
        age(object, now_us),
        containers,
        images,
        selector,
    ]
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
        change(&mut object["spec"]);
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
        assert_eq!(object["spec"]["replicas"], 1);
        assert_eq!(object["spec"]["progressDeadlineSeconds"], 600);
        assert_eq!(object["spec"]["revisionHistoryLimit"], 10);
        assert_eq!(findings(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn findings_are_worded_as_kubernetes_words_them() {
        let check = |change: fn(&mut Value), expected: &[&str]| assert_eq!(findings(change), expected);
        check(
            |s| s["template"]["metadata"]["labels"] = json!({"app": "b"}),
            &[
                "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`",
            ],
        );
        check(
            |s| s["selector"] = json!({}),
            &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        );
        check(
            |s| drop(crate::path::remove(s, "selector")),
            &[
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
            ],
        );
        check(
            |s| s["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        );
        check(
            |s| s["strategy"] = json!({"rollingUpdate": {"maxUnavailable": "101%"}}),
            &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"],
        );
        check(
            |s| s["strategy"] = json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
            &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        );
        check(
            |s| s["template"]["spec"]["restartPolicy"] = json!("Never"),
            &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
        );
        check(|s| s["replicas"] = json!(-1), &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]);
        check(
            |s| s["progressDeadlineSeconds"] = json!(0),
            &["spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds"],
        );
        check(
            |s| s["template"]["spec"]["containers"][0] = json!({"name": "c"}),
            &["spec.template.spec.containers[0].image: Required value"],
        );
    }

    #[test]
    fn the_generation_counts_what_a_deployment_hands_on() {
        let check = |change: fn(&mut Value), expected: i64| {
            let mut old = web();
            old["metadata"] = json!({"generation": 3, "labels": {"a": "b"}});
            let mut new = old.clone();
            change(&mut new);
            (DEPLOYMENT.strategy.prepare_update)(&mut new, &old);
            assert_eq!(new["metadata"]["generation"], expected);
        };
        check(|_| {}, 3);
        check(|d| d["spec"]["replicas"] = json!(2), 4);
        check(|d| d["metadata"]["annotations"] = json!({"a": "b"}), 4);
        check(|d| d["metadata"]["labels"] = json!({"a": "c"}), 3);
        check(|d| d["status"] = json!({"replicas": 2}), 3);
    }

    #[test]
    fn the_selector_stays() {
        let mut new = web();
        new["spec"]["selector"]["matchLabels"] = json!({"app": "b"});
        let found = (DEPLOYMENT.strategy.validate_update)(&new, &web());
        assert_eq!(
            found[0].to_string(),
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"
        );
    }

    #[test]
    fn a_row_shows_how_far_it_is() {
        let mut object = web();
        object["spec"]["replicas"] = 3.into();
        object["metadata"] = json!({"name": "web", "creationTimestamp": "1970-01-01T00:00:00Z"});
        object["status"] = json!({"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1});
        let row = DEPLOYMENT.table_cells(&object, 300_000_000);
        assert_eq!(
            row,
            [json!("web"), json!("2/3"), json!(3), json!(1), json!("5m"), json!("c"), json!("i"), json!("app=web")]
        );
        assert_eq!(DEPLOYMENT.table_columns().count(), row.len());
    }
}
