//! The shortest history that shows an anomaly, as far as it can be had cheaply.

use std::time::{Duration, Instant};

use super::{Found, judge};
use crate::history::{End, Op};

/// For all trials together.
const BOUND: Duration = Duration::from_secs(10);

/// Cuts a history that has no linearization to a short one that has none either. Only cuts that keep the proof are
/// made: calls after a moment (those under way then become *info*), and calls that only look, for a history that is
/// linearizable stays so without them.
pub(super) fn shrink(ops: &[&Op]) -> Vec<Op> {
    let deadline = Instant::now() + BOUND;
    let impossible = |ops: &[Op]| judge(&ops.iter().collect::<Vec<_>>(), deadline) == Found::None;
    let mut ends: Vec<Duration> = ops.iter().filter_map(|op| op.over()).collect();
    ends.sort_unstable();
    let first = ends.partition_point(|end| !impossible(&until(ops, *end)));
    let mut short =
        ends.get(first).map_or_else(|| ops.iter().map(|op| (*op).clone()).collect(), |end| until(ops, *end));
    let mut index = 0;
    while index < short.len() {
        let only_looks = short[index].f == "read" || matches!(short[index].end, End::Refused { .. } | End::Fail(_));
        if only_looks {
            let dropped = short.remove(index);
            if impossible(&short) {
                continue;
            }
            short.insert(index, dropped);
        }
        index += 1;
    }
    short
}

/// The history as it was known at a moment.
fn until(ops: &[&Op], moment: Duration) -> Vec<Op> {
    ops.iter()
        .filter(|op| op.invoked <= moment)
        .map(|op| {
            let mut op = (*op).clone();
            if op.completed.is_none_or(|completed| completed > moment) {
                op.completed = None;
                op.end = End::Info("still under way".to_owned());
            }
            op
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn op(f: &'static str, input: Value, times: (u64, u64), end: End) -> Op {
        Op {
            process: 0,
            workload: "register",
            f,
            key: "k".to_owned(),
            input,
            master: 0,
            invoked: Duration::from_millis(times.0),
            completed: Some(Duration::from_millis(times.1)),
            end,
        }
    }

    #[test]
    fn a_stale_read_is_shown_by_a_write_and_a_read() {
        let found = |value: u64| End::Ok(json!({"value": value}));
        let history = [
            op("create", json!(1), (0, 1), End::Ok(Value::Null)),
            op("read", Value::Null, (2, 3), found(1)),
            op("write", json!(2), (4, 5), End::Ok(Value::Null)),
            op("read", Value::Null, (6, 7), found(2)),
            op("read", Value::Null, (8, 9), found(1)),
            op("write", json!(3), (10, 11), End::Ok(Value::Null)),
            op("read", Value::Null, (12, 13), found(3)),
        ];
        let short = shrink(&history.iter().collect::<Vec<_>>());
        let kept: Vec<u128> = short.iter().map(|op| op.invoked.as_millis()).collect();
        assert_eq!(kept, [0, 4, 8]);
    }
}
