//! Histories in EDN, as Jepsen writes them: one map a line, so that other checkers can read them.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::history::{End, Op};

/// A history as Jepsen's: `{:type :invoke, :f :read, :value …, :process 0, :time 123, :index 0}`, times in nanoseconds.
/// Values of calls on a key are `[key value]`.
pub fn write(ops: &[Op]) -> String {
    let mut events: Vec<(Duration, bool, &Op)> = Vec::new();
    for op in ops {
        events.push((op.invoked, false, op));
        if let Some(completed) = op.completed {
            events.push((completed, true, op));
        }
    }
    events.sort_by_key(|(at, is_end, op)| (*at, *is_end, op.process));
    let mut text = String::new();
    for (index, (at, is_end, op)) in events.into_iter().enumerate() {
        let (kind, result, error) = match (is_end, &op.end) {
            (false, _) => ("invoke", &op.input, None),
            (true, End::Ok(value)) => ("ok", value, None),
            (true, End::Fail(why) | End::Refused { why, .. }) => ("fail", &op.input, Some(why)),
            (true, End::Info(why)) => ("info", &op.input, Some(why)),
        };
        let _ = write!(text, "{{:type :{kind}, :f :{}, :value [", op.f);
        scalar(&mut text, &Value::String(op.key.clone()));
        text.push(' ');
        scalar(&mut text, result);
        let _ = write!(text, "], :process {}, :time {}, :index {index}", op.process, at.as_nanos());
        let _ = write!(text, ", :workload :{}, :node \"m{}\"", op.workload, op.master + 1);
        if let Some(why) = error {
            text.push_str(", :error ");
            scalar(&mut text, &Value::String(why.clone()));
        }
        text.push_str("}\n");
    }
    text
}

/// A value: arrays are vectors, objects maps with keywords for keys.
fn scalar(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("nil"),
        Value::Bool(_) | Value::Number(_) => drop(write!(text, "{value}")),
        // JSON's escapes are EDN's, but for \u of control characters, which EDN has too.
        Value::String(_) => drop(write!(text, "{value}")),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                scalar(text, item);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            text.push('{');
            for (index, (name, item)) in fields.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                let _ = write!(text, ":{name} ");
                scalar(text, item);
            }
            text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_two_lines() {
        let op = Op {
            process: 3,
            workload: "register",
            f: "cas",
            key: "k1".to_owned(),
            input: json!({"from": 1, "to": 2}),
            master: 0,
            invoked: Duration::from_nanos(5),
            completed: Some(Duration::from_nanos(9)),
            end: End::Fail("it \"changed\"".to_owned()),
        };
        assert_eq!(
            write(&[op]),
            "{:type :invoke, :f :cas, :value [\"k1\" {:from 1, :to 2}], :process 3, :time 5, :index 0, :workload :register, :node \"m1\"}\n\
             {:type :fail, :f :cas, :value [\"k1\" {:from 1, :to 2}], :process 3, :time 9, :index 1, :workload :register, :node \"m1\", :error \"it \\\"changed\\\"\"}\n"
        );
    }

    #[test]
    fn values_are_edn() {
        let mut text = String::new();
        scalar(&mut text, &json!([null, true, 1, "a", ["append", "x", 3]]));
        assert_eq!(text, "[nil true 1 \"a\" [\"append\" \"x\" 3]]");
    }
}
