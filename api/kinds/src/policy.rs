//! PodDisruptionBudget (policy/v1), and Eviction, which `pods/eviction` takes and nothing is stored under.

use serde_json::Value;

use crate::apps::{at_most_all, number_or_percent};
use crate::findings::Findings;
use crate::kind::{age, column, integer, status};
use crate::path::{self, Path, has, text};
use crate::{Causes, Cell, Kind, Strategy, selector};

/// PodDisruptionBudget.
pub static POD_DISRUPTION_BUDGET: Kind = Kind {
    group: "policy",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    schema: "io.k8s.api.policy.v1.PodDisruptionBudget",
    subresources: &[status("PodDisruptionBudget")],
    strategy: Strategy {
        unconditional_update: false,
        validate,
        validate_status: |new, _| {
            let mut findings = Findings::default();
            let counts = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
            findings.non_negatives(Path::root("status"), &new["status"], &counts);
            findings.done()
        },
        ..Strategy::SPEC_AND_STATUS
    },
    columns: &[column("Min Available"), column("Max Unavailable"), integer("Allowed Disruptions"), column("Age")],
    cells,
    ..Kind::BASE
};

/// Eviction.
pub static EVICTION: Kind = Kind {
    group: "policy",
    kind: "Eviction",
    plural: "evictions",
    singular: "eviction",
    schema: "io.k8s.api.policy.v1.Eviction",
    verbs: &["create"],
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
        findings.invalid(SPEC, spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for field in ["minAvailable", "maxUnavailable"].into_iter().filter(|field| has(spec, field)) {
        number_or_percent(&spec[field], SPEC.field(field), &mut findings);
        at_most_all(&spec[field], SPEC.field(field), &mut findings);
    }
    selector::validate(&spec["selector"], SPEC.field("selector"), &mut findings);
    if has(spec, "unhealthyPodEvictionPolicy") {
        let policy = text(spec, "unhealthyPodEvictionPolicy");
        findings.one_of(SPEC.field("unhealthyPodEvictionPolicy"), policy, &["AlwaysAllow", "IfHealthyBudget"]);
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let shown = |field: &str| match &object["spec"][field] {
        Value::Null => "N/A".to_owned(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    vec![
        shown("minAvailable").into(),
        shown("maxUnavailable").into(),
        path::integer(&object["status"], "disruptionsAllowed").into(),
        age(object, now_us),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn budgets_are_judged_as_kubernetes_judges_them() {
        let check = |spec: Value, expected: &[&str]| {
            let found: Vec<String> = validate(&json!({"spec": spec})).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"minAvailable": "50%", "selector": {}}), &[]);
        check(
            json!({"minAvailable": 1, "maxUnavailable": 1}),
            &[
                "spec: Invalid value: {\"minAvailable\":1,\"maxUnavailable\":1}: minAvailable and maxUnavailable cannot be both set",
            ],
        );
        check(
            json!({"minAvailable": "200%"}),
            &["spec.minAvailable: Invalid value: \"200%\": must not be greater than 100%"],
        );
    }
}
