//! Strict serializability of transactions on lists: each reads lists and appends to them, every element once, so that
//! a list tells in which order its elements came, and with that who came before whom.
//!
//! Source: K. Kingsbury, P. Alvaro, "Elle: inferring isolation anomalies from experimental observations" (2020).

mod cycles;
mod graph;

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Evidence, Verdict};
use crate::history::Op;

pub use graph::{Edge, Graph, Why};

/// The row.
pub static CHECKER: Checker = Checker {
    name: "serializable",
    text: "transactions on lists happen one after the other, in an order true to real time",
    check,
};

/// Cycles that are reported.
const CYCLES_MAX: usize = 5;

/// What a transaction does with one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appends an element.
    Append(String, u64),
    /// Reads, and found this.
    Read(String, Vec<u64>),
}

/// A transaction that happened, or may have.
#[derive(Clone, Debug)]
pub struct Transaction<'a> {
    /// As it was noted.
    pub op: &'a Op,
    /// What it did, in order. Of one that may have happened only the appends are known.
    pub steps: Vec<Step>,
    /// Whether it happened for certain.
    pub certain: bool,
}

/// Reads `[["append", key, element], ["r", key, [elements]]]`.
fn transaction(op: &Op) -> Transaction<'_> {
    let certain = op.result().is_some();
    let steps = op.result().unwrap_or(&op.input).as_array().into_iter().flatten().filter_map(|step| {
        let key = step[1].as_str()?.to_owned();
        match step[0].as_str()? {
            "append" => Some(Step::Append(key, step[2].as_u64()?)),
            _ if certain => {
                Some(Step::Read(key, step[2].as_array()?.iter().filter_map(serde_json::Value::as_u64).collect()))
            }
            _ => None,
        }
    });
    Transaction { steps: steps.collect(), op, certain }
}

fn check(evidence: &Evidence) -> Verdict {
    let ops: Vec<&Op> = evidence.of("append").collect();
    let mut verdict = judge(&ops);
    if !ops.is_empty() {
        let happened = ops.iter().filter(|op| op.result().is_some()).count();
        verdict.looked_at = format!("{happened} transactions");
    }
    verdict
}

/// Judges a history of transactions.
pub fn judge(ops: &[&Op]) -> Verdict {
    let mut verdict = Verdict::default();
    let transactions: Vec<Transaction<'_>> = ops.iter().filter(|op| !op.failed()).map(|op| transaction(op)).collect();
    aborted(ops, &transactions, &mut verdict);
    invented(ops, &transactions, &mut verdict);
    internal(&transactions, &mut verdict);
    let Some(orders) = orders(&transactions, &mut verdict) else { return verdict };
    intermediate(&transactions, &mut verdict);
    let graph = Graph::of(&transactions, &orders);
    for cycle in cycles::shortest(&graph, CYCLES_MAX) {
        let kinds: Vec<&str> = cycle.iter().map(|edge| edge.why.name()).collect();
        let text = format!("transactions in a circle: {}", kinds.join(", "));
        verdict.find(text, cycle.iter().map(|edge| transactions[edge.from].op.clone()).collect());
    }
    verdict
}

/// What a failed transaction appended is read nowhere.
fn aborted(ops: &[&Op], transactions: &[Transaction<'_>], verdict: &mut Verdict) {
    let mut failed: BTreeMap<(String, u64), &Op> = BTreeMap::new();
    for op in ops.iter().filter(|op| op.failed()) {
        for step in transaction(op).steps {
            if let Step::Append(key, element) = step {
                failed.insert((key, element), op);
            }
        }
    }
    for transaction in transactions {
        for step in &transaction.steps {
            let Step::Read(key, elements) = step else { continue };
            if let Some(op) = elements.iter().find_map(|element| failed.get(&(key.clone(), *element))) {
                verdict.find(
                    format!("{key} holds what a failed transaction appended"),
                    vec![(*op).clone(), transaction.op.clone()],
                );
            }
        }
    }
}

/// What was read, somebody appended.
fn invented(ops: &[&Op], transactions: &[Transaction<'_>], verdict: &mut Verdict) {
    let appended: BTreeSet<(String, u64)> = ops
        .iter()
        .flat_map(|op| transaction(op).steps)
        .filter_map(|step| match step {
            Step::Append(key, element) => Some((key, element)),
            Step::Read(..) => None,
        })
        .collect();
    for transaction in transactions {
        for step in &transaction.steps {
            let Step::Read(key, elements) = step else { continue };
            if let Some(element) = elements.iter().find(|element| !appended.contains(&(key.clone(), **element))) {
                verdict.find(format!("{key} holds {element}, which nobody appended"), vec![transaction.op.clone()]);
            }
        }
    }
}

/// A transaction sees what it read and appended itself before, and nothing else that is new.
fn internal(transactions: &[Transaction<'_>], verdict: &mut Verdict) {
    for transaction in transactions {
        // Of each list: what it must end with, and whether that is all of it.
        let mut known: BTreeMap<&str, (Vec<u64>, bool)> = BTreeMap::new();
        for step in &transaction.steps {
            match step {
                Step::Append(key, element) => known.entry(key).or_default().0.push(*element),
                Step::Read(key, elements) => {
                    let (expected, whole) = known.entry(key).or_default();
                    if !elements.ends_with(expected) || (*whole && elements.len() != expected.len()) {
                        let text = format!("{key} does not hold what the transaction itself read and appended before");
                        verdict.find(text, vec![transaction.op.clone()]);
                    }
                    (*expected, *whole) = (elements.clone(), true);
                }
            }
        }
    }
}

/// The order of each list's elements: that of the longest read, of which every other must be a beginning.
fn orders(transactions: &[Transaction<'_>], verdict: &mut Verdict) -> Option<BTreeMap<String, Vec<u64>>> {
    let mut longest: BTreeMap<String, (Vec<u64>, &Op)> = BTreeMap::new();
    let mut sound = true;
    for transaction in transactions {
        // What it appended itself before it read stands at the end, and is part of the order too.
        for step in &transaction.steps {
            let Step::Read(key, elements) = step else { continue };
            let mut sorted = elements.clone();
            sorted.sort_unstable();
            if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                verdict.find(format!("{key} holds an element twice"), vec![transaction.op.clone()]);
                sound = false;
            }
            let (known, by) = longest.entry(key.clone()).or_insert_with(|| (elements.clone(), transaction.op));
            let shorter = known.len().min(elements.len());
            if known[..shorter] != elements[..shorter] {
                verdict.find(format!("{key} was read in two orders"), vec![by.clone(), transaction.op.clone()]);
                sound = false;
            } else if elements.len() > known.len() {
                (*known, *by) = (elements.clone(), transaction.op);
            }
        }
    }
    sound.then(|| longest.into_iter().map(|(key, (elements, _))| (key, elements)).collect())
}

/// Nobody reads a list as it was in the midst of another transaction.
fn intermediate(transactions: &[Transaction<'_>], verdict: &mut Verdict) {
    let mut followed: BTreeMap<(&str, u64), (usize, u64)> = BTreeMap::new();
    for (number, transaction) in transactions.iter().enumerate() {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for step in &transaction.steps {
            if let Step::Append(key, element) = step
                && let Some(before) = last.insert(key, *element)
            {
                followed.insert((key, before), (number, *element));
            }
        }
    }
    for (number, transaction) in transactions.iter().enumerate() {
        for step in &transaction.steps {
            let Step::Read(key, elements) = step else { continue };
            let Some(end) = elements.last() else { continue };
            if let Some((writer, _)) = followed.get(&(key.as_str(), *end)).filter(|(writer, _)| *writer != number) {
                let history = vec![transactions[*writer].op.clone(), transaction.op.clone()];
                verdict.find(format!("{key} was read in the midst of a transaction"), history);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::history::End;

    fn op(times: (u64, u64), steps: Value, end: fn(Value) -> End) -> Op {
        Op {
            process: times.0,
            workload: "append",
            f: "txn",
            key: String::new(),
            input: steps.clone(),
            master: 0,
            invoked: Duration::from_millis(times.0),
            completed: Some(Duration::from_millis(times.1)),
            end: end(steps),
        }
    }

    fn found(ops: &[Op]) -> Vec<String> {
        let ops: Vec<&Op> = ops.iter().collect();
        judge(&ops).anomalies.into_iter().map(|anomaly| anomaly.text).collect()
    }

    #[test]
    fn a_serial_history_is_serializable() {
        let ops = [
            op((0, 1), json!([["append", "x", 1], ["r", "y", []]]), End::Ok),
            op((2, 3), json!([["r", "x", [1]], ["append", "x", 2]]), End::Ok),
            op((2, 9), json!([["append", "y", 5]]), |_| End::Info(String::new())),
            op((4, 5), json!([["r", "x", [1, 2]], ["r", "y", [5]]]), End::Ok),
        ];
        assert_eq!(found(&ops), Vec::<String>::new());
    }

    #[test]
    fn anomalies_have_names() {
        let check = |ops: &[Op], expected: &str| {
            let found = found(ops);
            assert!(found.iter().any(|text| text.contains(expected)), "{found:?}, not {expected}");
        };
        // Each misses what the other appended: a write skew.
        check(
            &[
                op((0, 9), json!([["r", "x", []], ["append", "y", 1]]), End::Ok),
                op((0, 9), json!([["r", "y", []], ["append", "x", 1]]), End::Ok),
                op((10, 11), json!([["r", "x", [1]], ["r", "y", [1]]]), End::Ok),
            ],
            "did not see, did not see",
        );
        // A read that misses what was acknowledged before it began.
        check(
            &[
                op((0, 1), json!([["append", "x", 1]]), End::Ok),
                op((2, 3), json!([["r", "x", []]]), End::Ok),
                op((4, 5), json!([["r", "x", [1]]]), End::Ok),
            ],
            "was over before",
        );
        // What was acknowledged and is gone for good.
        check(
            &[
                op((0, 1), json!([["append", "x", 1]]), End::Ok),
                op((2, 3), json!([["append", "x", 2]]), End::Ok),
                op((4, 5), json!([["r", "x", [2]]]), End::Ok),
            ],
            "was over before",
        );
        check(&[op((0, 1), json!([["append", "x", 1], ["r", "x", []]]), End::Ok)], "itself read and appended");
        check(&[op((0, 1), json!([["r", "x", [7]]]), End::Ok)], "which nobody appended");
        check(
            &[
                op((0, 1), json!([["append", "x", 1]]), |_| End::Fail(String::new())),
                op((2, 3), json!([["r", "x", [1]]]), End::Ok),
            ],
            "failed transaction",
        );
        check(
            &[
                op((0, 1), json!([["append", "x", 1], ["append", "x", 2]]), End::Ok),
                op((0, 3), json!([["r", "x", [1]]]), End::Ok),
            ],
            "in the midst",
        );
        check(
            &[op((0, 1), json!([["r", "x", [1, 2]]]), End::Ok), op((0, 3), json!([["r", "x", [2]]]), End::Ok)],
            "two orders",
        );
    }
}
