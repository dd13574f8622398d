//! Workloads (apps/v1).

pub mod controller_revision;
pub mod daemon_set;
pub mod deployment;
pub mod replica_set;
pub mod stateful_set;

use serde_json::Value;

use crate::findings::{Findings, NEGATIVE};
use crate::kind::bump_generation;
use crate::names;
use crate::path::{Path, integer};

const SPEC: Path<'static> = Path::root("spec");
const STATUS: Path<'static> = Path::root("status");

/// Findings about counts in a status: none negative, none above the replicas.
fn validate_counts(new: &Value, fields: &[&str], below_replicas: &[&str], findings: &mut Findings) {
    let status = &new["status"];
    findings.non_negatives(STATUS, status, fields);
    for field in below_replicas {
        if integer(status, field) > integer(status, "replicas") {
            findings.invalid(STATUS.field(field), integer(status, field), "cannot be greater than status.replicas");
        }
    }
    if below_replicas.contains(&"availableReplicas")
        && integer(status, "availableReplicas") > integer(status, "readyReplicas")
    {
        let message = "cannot be greater than readyReplicas";
        findings.invalid(STATUS.field("availableReplicas"), integer(status, "availableReplicas"), message);
    }
}

/// The count of colliding names only grows.
fn validate_collisions(new: &Value, old: &Value, findings: &mut Findings) {
    let count = |object: &Value| integer(&object["status"], "collisionCount");
    if count(new) < count(old) {
        findings.invalid(STATUS.field("collisionCount"), count(new), "cannot be decremented");
    }
}

/// Findings about a number or a share; what it comes to as a bare number.
pub(crate) fn number_or_percent(value: &Value, at: Path<'_>, findings: &mut Findings) -> i64 {
    match value {
        Value::String(text) => {
            findings.names(at, text, names::percent(text));
            text.strip_suffix('%').and_then(|n| n.parse().ok()).unwrap_or(0)
        }
        value => {
            let number = value.as_i64().unwrap_or(0);
            if number < 0 {
                findings.invalid(at, number, NEGATIVE);
            }
            number
        }
    }
}

/// A share is no more than the whole.
pub(crate) fn at_most_all(value: &Value, at: Path<'_>, findings: &mut Findings) {
    let share = value.as_str().filter(|t| names::percent(t).is_empty()).and_then(|t| t.strip_suffix('%'));
    if share.and_then(|n| n.parse::<i64>().ok()).is_some_and(|n| n > 100) {
        findings.invalid(at, value, "must not be greater than 100%");
    }
}

fn count(object: &Value, field: &str) -> i64 {
    integer(&object["status"], field)
}

/// As for any kind with a spec, but annotations count too: a Deployment hands them on to its ReplicaSets.
fn bump_generation_with_annotations(new: &mut Value, old: &Value) {
    bump_generation(new, old);
    let same_spec = new["metadata"]["generation"] == old["metadata"]["generation"];
    let annotations = |object: &Value| object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    if same_spec && annotations(new) != annotations(old) {
        let generation = integer(&old["metadata"], "generation");
        crate::kind::set_generation(new, generation + 1);
    }
}
