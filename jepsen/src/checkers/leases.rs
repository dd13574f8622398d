//! Leases: none ends before its time, and each ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Checker, Evidence, Verdict};
use crate::history::Op;

/// The row.
pub static CHECKER: Checker =
    Checker { name: "leases", text: "no lease ends before its time, counted from its last renewal", check };

fn check(evidence: &Evidence) -> Verdict {
    let mut keys: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    for op in evidence.of("lease") {
        keys.entry(&op.key).or_default().push(op);
    }
    let mut verdict = Verdict::default();
    for ops in keys.values() {
        judge(ops, &mut verdict);
    }
    if !keys.is_empty() {
        verdict.looked_at = format!("{} leases", keys.len());
    }
    verdict
}

/// A key that was seen absent although its lease was granted or renewed less than its time before.
fn judge(ops: &[&Op], verdict: &mut Verdict) {
    let Some(put) = ops.iter().find(|op| op.f == "put" && op.result().is_some()) else { return };
    let Some(put_at) = put.completed else { return };
    let revoked = ops.iter().filter(|op| op.f == "revoke" && !op.failed()).map(|op| op.invoked).min();
    for read in ops.iter().filter(|op| op.f == "read" && op.invoked > put_at) {
        let (Some(there), Some(ended)) = (read.result().and_then(serde_json::Value::as_bool), read.completed) else {
            continue;
        };
        if there || revoked.is_some_and(|at| at < ended) {
            continue;
        }
        // The master counted from when it had the request, which is not before it was sent.
        let alive = ops.iter().filter(|op| ["grant", "renew"].contains(&op.f) && op.result().is_some()).find(|op| {
            let ttl = Duration::from_secs(op.input.as_u64().unwrap_or(0));
            op.completed.is_some_and(|at| at < read.invoked) && ended < op.invoked + ttl
        });
        if let Some(renewal) = alive {
            let left = renewal.invoked + Duration::from_secs(renewal.input.as_u64().unwrap_or(0)) - ended;
            verdict.find(
                format!("{} was gone {left:.1?} before its time", read.key),
                vec![(*renewal).clone(), (*read).clone()],
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::End;

    #[test]
    fn a_key_may_go_when_its_time_is_over_and_not_before() {
        let op = |f: &'static str, input: Value, at_ms: u64, result: Value| Op {
            process: 0,
            workload: "lease",
            f,
            key: "k".to_owned(),
            input,
            master: 0,
            invoked: Duration::from_millis(at_ms),
            completed: Some(Duration::from_millis(at_ms + 10)),
            end: End::Ok(result),
        };
        let row = |gone_at_ms: u64, expected: usize| {
            let ops = vec![
                op("grant", json!(2), 0, json!(7)),
                op("put", json!(7), 20, Value::Null),
                op("renew", json!(2), 1000, json!(2)),
                op("read", Value::Null, gone_at_ms, json!(false)),
            ];
            let evidence = Evidence { ops, ..Evidence::default() };
            assert_eq!(check(&evidence).anomalies.len(), expected, "gone at {gone_at_ms}");
        };
        row(2500, 1);
        row(3000, 0);
    }
}
