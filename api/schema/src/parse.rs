//! JSON text to a value, with duplicate fields noticed.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Depth beyond which a body is refused, so that no recursion over a value can exhaust the stack.
const DEPTH_MAX: usize = 128;

/// A parsed body.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The value; of duplicate fields the last one counts.
    pub value: Value,
    /// Paths of duplicate fields, in Kubernetes' notation: `spec.template.metadata`.
    pub duplicates: Vec<String>,
}

/// Parses JSON.
///
/// # Errors
/// With the parser's message.
pub fn json(body: &[u8]) -> Result<Parsed, String> {
    let mut state = State { path: Vec::new(), duplicates: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Seed(&mut state).deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(Parsed { value, duplicates: state.duplicates })
}

struct State {
    path: Vec<String>,
    duplicates: Vec<String>,
}

struct Seed<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let state = self.0;
        let mut list = Vec::new();
        state.path.push(String::new());
        check_depth::<A::Error>(state)?;
        loop {
            if let Some(place) = state.path.last_mut() {
                place.clear();
                place.push_str(&format!("[{}]", list.len()));
            }
            match items.next_element_seed(Seed(state))? {
                Some(item) => list.push(item),
                None => break,
            }
        }
        state.path.pop();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let state = self.0;
        let mut map = Map::new();
        check_depth::<A::Error>(state)?;
        while let Some(name) = fields.next_key::<String>()? {
            state.path.push(name.clone());
            let value = fields.next_value_seed(Seed(state))?;
            if map.insert(name, value).is_some() {
                let path = join(&state.path);
                if !state.duplicates.contains(&path) {
                    state.duplicates.push(path);
                }
            }
            state.path.pop();
        }
        Ok(Value::Object(map))
    }
}

fn check_depth<E: serde::de::Error>(state: &State) -> Result<(), E> {
    if state.path.len() > DEPTH_MAX { Err(E::custom("exceeded max depth")) } else { Ok(()) }
}

fn join(path: &[String]) -> String {
    let mut joined = String::new();
    for part in path {
        if !joined.is_empty() && !part.starts_with('[') {
            joined.push('.');
        }
        joined.push_str(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_named_by_path_and_the_last_one_counts() {
        let parsed = json(br#"{"spec":{"a":[{"b":1,"b":2}]},"spec2":null,"n":-1,"f":1.5}"#).unwrap();
        assert_eq!(parsed.value, serde_json::json!({"spec": {"a": [{"b": 2}]}, "spec2": null, "n": -1, "f": 1.5}));
        assert_eq!(parsed.duplicates, ["spec.a[0].b"]);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in [&b"{"[..], b"{} x", b"", b"{\"a\":}"] {
            assert!(json(bad).is_err(), "{bad:?}");
        }
        assert!(json("[".repeat(200).as_bytes()).is_err());
    }
}
