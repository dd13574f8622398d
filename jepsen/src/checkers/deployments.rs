//! Deployments: at every revision no more pods than surge allows and no fewer available ones than promised, and in the
//! end what was asked for.

use std::collections::BTreeMap;

use super::{Checker, Evidence, Verdict};
use crate::history::Op;
use crate::workloads::SLACK;

/// The row.
pub static CHECKER: Checker = Checker {
    name: "deployments",
    text: "a Deployment stays within surge and unavailability at every revision, and converges",
    check,
};

/// Between two convergences a Deployment moves between two sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Phase {
    /// The last revision of the phase.
    until: u64,
    smaller: usize,
    larger: usize,
}

fn check(evidence: &Evidence) -> Verdict {
    let ops: Vec<&Op> = evidence.of("controllers").collect();
    let phases = phases(&ops);
    let mut verdict = Verdict::default();
    let mut pods: BTreeMap<String, State> = BTreeMap::new();
    let mut events = 0;
    let mut at = phases.iter().peekable();
    // Before the first convergence there is no promise about what is available.
    let mut converged = false;
    for event in ops.iter().filter_map(|op| op.result()?["pods"].as_array()).flatten() {
        let Some((revision, name, there)) = pod(event) else { continue };
        while at.next_if(|phase| phase.until < revision).is_some() {
            converged = true;
        }
        match there {
            Some(state) => drop(pods.insert(name, state)),
            None => drop(pods.remove(&name)),
        }
        events += 1;
        let Some(phase) = at.peek() else { break };
        let alive = pods.values().filter(|(_, terminating)| !terminating).count();
        let available = pods.values().filter(|(available, _)| *available).count();
        if alive > phase.larger + SLACK {
            verdict
                .find(format!("{alive} pods at revision {revision}, of at most {}", phase.larger + SLACK), Vec::new());
        }
        if converged && available + SLACK < phase.smaller {
            let needed = phase.smaller - SLACK;
            verdict
                .find(format!("{available} available pods at revision {revision}, of at least {needed}"), Vec::new());
        }
    }
    for op in ops.iter().filter(|op| op.f == "settle" && op.failed()) {
        verdict.find("the Deployment does not become what was asked for".to_owned(), vec![(*op).clone()]);
    }
    if !ops.is_empty() {
        let rolls = ops.iter().filter(|op| op.f == "roll" && op.result().is_some()).count();
        verdict.looked_at = format!("{events} changes of pods, {rolls} rolls, {} convergences", phases.len());
    }
    verdict
}

/// Whether a pod is available, and terminating.
type State = (bool, bool);

/// A pod's revision, its name, and its state; `None` when it is gone.
fn pod(event: &serde_json::Value) -> Option<(u64, String, Option<State>)> {
    let state = event[2].as_bool()?.then_some((event[3].as_bool()?, event[4].as_bool()?));
    Some((event[0].as_u64()?, event[1].as_str()?.to_owned(), state))
}

/// Sizes before and after each convergence that was seen.
fn phases(ops: &[&Op]) -> Vec<Phase> {
    let mut phases = Vec::new();
    let mut sizes: Vec<usize> = Vec::new();
    for op in ops {
        match op.f {
            "create" | "scale" => {
                sizes.extend(["from", "to"].iter().filter_map(|side| op.input[*side].as_u64()).map(|n| n as usize));
            }
            "converge" | "settle" => {
                let size = op.input.as_u64().unwrap_or(0) as usize;
                sizes.push(size);
                let Some(until) = op.result().and_then(|result| result["revision"].as_u64()) else { continue };
                let (smaller, larger) =
                    (sizes.iter().copied().min().unwrap_or(size), sizes.iter().copied().max().unwrap_or(size));
                phases.push(Phase { until, smaller, larger });
                sizes = vec![size];
            }
            _ => {}
        }
    }
    phases
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::history::End;

    fn anomalies(pods: Value, settled: bool) -> usize {
        let op = |f: &'static str, input: Value, end: End| Op {
            process: 0,
            workload: "controllers",
            f,
            key: String::new(),
            input,
            master: 0,
            invoked: Duration::ZERO,
            completed: Some(Duration::ZERO),
            end,
        };
        let ops = vec![
            op("pods", Value::Null, End::Ok(json!({"pods": pods}))),
            op("create", json!({"from": 0, "to": 2}), End::Ok(Value::Null)),
            op("converge", json!(2), End::Ok(json!({"revision": 10}))),
            op("roll", json!("1"), End::Ok(Value::Null)),
            op("settle", json!(2), if settled { End::Ok(json!({"revision": 20})) } else { End::Fail(String::new()) }),
        ];
        check(&Evidence { ops, ..Evidence::default() }).anomalies.len()
    }

    #[test]
    fn surge_and_unavailability_bound_every_revision() {
        let up = |revision: u64, name: &str, available: bool| json!([revision, name, true, available, false]);
        let gone = |revision: u64, name: &str| json!([revision, name, false, false, false]);
        let base = [up(1, "a", true), up(2, "b", true)];
        let with = |more: &[Value]| Value::Array([&base, more].concat());
        assert_eq!(anomalies(with(&[up(11, "c", true), gone(12, "a")]), true), 0);
        assert_eq!(anomalies(with(&[up(11, "c", true), up(12, "d", true)]), true), 1, "one too many");
        assert_eq!(anomalies(with(&[gone(11, "a"), gone(12, "b")]), true), 1, "one too few");
        assert_eq!(anomalies(with(&[]), false), 1, "it never converged");
    }
}
