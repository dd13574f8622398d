//! How `managedFields` spell one step of a path: `f:<field>`, `k:<keys of an item>`, `v:<value of an item>`; and how messages
//! do: `.field`, `[name="a"]`, `[="a"]`.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::definitions::Key;

/// Kubernetes' order of steps: fields, keys, values, indexes; each by content.
pub(super) fn order(a: &str, b: &str) -> Ordering {
    if a.as_bytes().first() == b.as_bytes().first() { a.cmp(b) } else { rank(a).cmp(&rank(b)) }
}

fn rank(label: &str) -> u8 {
    match label.as_bytes().first() {
        Some(b'f') => 0,
        Some(b'k') => 1,
        Some(b'v') => 2,
        _ => 3,
    }
}

/// `f:app`
pub(super) fn of_entry(name: &str) -> String {
    let mut label = String::with_capacity(name.len() + 2);
    label.push_str("f:");
    label.push_str(name);
    label
}

/// `k:{"containerPort":80,"protocol":"TCP"}`
pub(super) fn of_item(keys: &[Key], item: &Value) -> String {
    let mut label = String::with_capacity(32);
    label.push_str("k:{");
    let mut first = true;
    for key in keys {
        let Some(value) = key_of(key, item) else { continue };
        if !first {
            label.push(',');
        }
        first = false;
        label.push('"');
        label.push_str(&key.name);
        label.push_str("\":");
        push_json(&mut label, value);
    }
    label.push('}');
    label
}

/// `v:"kubernetes.io/pvc-protection"`
pub(super) fn of_value(value: &Value) -> String {
    let mut label = String::from("v:");
    push_json(&mut label, value);
    label
}

/// The value of a key field, or its default.
pub(super) fn key_of<'v>(key: &'v Key, item: &'v Value) -> Option<&'v Value> {
    item.get(&*key.name).or(key.default.as_ref())
}

/// Whether two items are the same one.
pub(super) fn same_item(keys: &[Key], a: &Value, b: &Value) -> bool {
    keys.iter().all(|key| key_of(key, a) == key_of(key, b))
}

fn push_json(text: &mut String, value: &Value) {
    match value {
        Value::String(plain) if plain.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\' && b != 0x7f) => {
            text.push('"');
            text.push_str(plain);
            text.push('"');
        }
        _ => text.push_str(&value.to_string()),
    }
}

/// A label as it is kept: keys sorted, JSON compact. `None` when it is no label.
pub(super) fn canonical(label: &str) -> Option<String> {
    let (sigil, rest) = label.split_at_checked(2)?;
    match sigil {
        "f:" => Some(label.to_owned()),
        "k:" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            let mut sorted: Vec<(&String, &Value)> = keys.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            let parts: Vec<String> =
                sorted.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
            Some(format!("k:{{{}}}", parts.join(",")))
        }
        "v:" => Some(of_value(&serde_json::from_str(rest).ok()?)),
        "i:" => rest.parse::<usize>().ok().map(|_| label.to_owned()),
        _ => None,
    }
}

/// A label as messages spell it.
pub(super) fn shown(label: &str) -> String {
    match label.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("k:", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let parts: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", parts.join(","))
        }
        Some(("v:", value)) => format!("[={value}]"),
        Some((_, index)) => format!("[{index}]"),
        None => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_are_labelled_by_sorted_keys_and_defaults() {
        let key = |name: &str, default: Option<Value>| Key { name: name.into(), default };
        let keys = [key("containerPort", None), key("protocol", Some("TCP".into()))];
        assert_eq!(of_item(&keys, &json!({"containerPort": 80})), "k:{\"containerPort\":80,\"protocol\":\"TCP\"}");
        assert!(same_item(&keys, &json!({"containerPort": 80}), &json!({"protocol": "TCP", "containerPort": 80})));
        assert!(!same_item(&keys, &json!({"containerPort": 80}), &json!({"protocol": "UDP", "containerPort": 80})));
        assert_eq!(of_item(&[key("name", None)], &json!({"name": "a\"b"})), "k:{\"name\":\"a\\\"b\"}");
    }

    #[test]
    fn labels_of_clients_become_ours() {
        let check = |label: &str, expected: Option<&str>| assert_eq!(canonical(label).as_deref(), expected, "{label}");
        check("f:spec", Some("f:spec"));
        check("k:{\"b\": 1, \"a\":\"x\"}", Some("k:{\"a\":\"x\",\"b\":1}"));
        check("v: \"a\"", Some("v:\"a\""));
        check("i:0", Some("i:0"));
        check("spec", None);
        check("k:name", None);
    }

    #[test]
    fn steps_are_shown_as_kubernetes_shows_them() {
        let check = |label: &str, expected: &str| assert_eq!(shown(label), expected);
        check("f:spec", ".spec");
        check("k:{\"containerPort\":80,\"protocol\":\"TCP\"}", "[containerPort=80,protocol=\"TCP\"]");
        check("v:\"a\"", "[=\"a\"]");
        check("i:3", "[3]");
    }
}
