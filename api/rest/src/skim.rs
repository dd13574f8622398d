//! An object without its lists: what selectors read, at a fraction of what decoding all of it costs. Containers, conditions and
//! managedFields are lists, and most of an object.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Decodes an object; each list in it is `null`. `None` when the bytes are no JSON.
pub(crate) fn skim(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().map(|Skimmed(object)| object)
}

struct Skimmed(Value);

impl<'de> Deserialize<'de> for Skimmed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Skim)
    }
}

struct Skim;

impl<'de> Visitor<'de> for Skim {
    type Value = Skimmed;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Skimmed, A::Error> {
        let mut object = Map::new();
        while let Some((name, Skimmed(value))) = access.next_entry()? {
            object.insert(name, value);
        }
        Ok(Skimmed(object.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Skimmed, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Skimmed(Value::Null))
    }

    fn visit_unit<E>(self) -> Result<Skimmed, E> {
        Ok(Skimmed(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Skimmed, E> {
        Ok(Skimmed(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Skimmed, E> {
        Ok(Skimmed(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Skimmed, E> {
        Ok(Skimmed(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Skimmed, E> {
        Ok(Skimmed(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Skimmed, E> {
        Ok(Skimmed(value.into()))
    }
}

#[cfg(test)]
mod tests {
    use api_kinds::registry;
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_left_out_and_nothing_else() {
        let object = json!({"a": [1, {"b": 2}], "c": {"d": "e", "f": [], "g": null}, "h": 1.5, "i": -1, "j": true, "k": "\u{e9}\""});
        let skimmed =
            json!({"a": null, "c": {"d": "e", "f": null, "g": null}, "h": 1.5, "i": -1, "j": true, "k": "\u{e9}\""});
        assert_eq!(skim(object.to_string().as_bytes()), Some(skimmed));
        assert_eq!(skim(b"{\"a\":"), None);
    }

    /// An object that has something wherever a selectable field of any kind may look.
    fn full() -> Value {
        let mut object =
            json!({"metadata": {"name": "n", "namespace": "s", "labels": {"l": "v"}, "managedFields": [{}]}});
        for (path, _) in registry::KINDS.iter().flat_map(|kind| kind.selectable) {
            let mut at = &mut object;
            for step in path.split('.') {
                if !at.is_object() {
                    *at = json!({});
                }
                at = &mut at[step];
            }
            if at.is_null() {
                *at = json!(format!("of {path}"));
            }
        }
        object
    }

    #[test]
    fn no_selectable_field_lies_in_a_list() {
        let (mut whole, mut seen) = (full(), 0);
        whole["spec"]["hostNetwork"] = json!(true);
        whole["spec"]["unschedulable"] = json!(true);
        whole["status"]["succeeded"] = json!(3);
        whole["status"]["replicas"] = json!(4);
        let skimmed = skim(whole.to_string().as_bytes()).unwrap_or_default();
        for kind in registry::KINDS {
            for (path, read) in kind.selectable {
                assert_eq!(read(&skimmed), read(&whole), "{path} of {}", kind.kind);
                seen += 1;
            }
        }
        assert!(seen > 20, "only {seen} selectable fields");
    }
}
