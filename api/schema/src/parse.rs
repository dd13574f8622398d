//! JSON and YAML text to a value, with duplicate fields noticed.

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
    /// Paths of duplicate fields, in Kubernetes' notation: `spec.template.metadata`. Each once.
    pub duplicates: Vec<String>,
}

/// Parses JSON.
///
/// # Errors
/// With the message of Go's parser.
pub fn json(body: &[u8]) -> Result<Parsed, String> {
    let mut state = State::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let explained = |error: serde_json::Error| crate::go::json_error(body).unwrap_or_else(|| error.to_string());
    let value = Seed(&mut state).deserialize(&mut deserializer).map_err(explained)?;
    deserializer.end().map_err(explained)?;
    Ok(Parsed { value, duplicates: state.duplicates })
}

/// Parses YAML (one document), or JSON, which is how clients usually write it.
///
/// # Errors
/// With the parser's message.
pub fn yaml(body: &[u8]) -> Result<Parsed, String> {
    let looks_like_json = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if looks_like_json && let Ok(parsed) = json(body) {
        return Ok(parsed);
    }
    let mut state = State { whole_floats: true, ..State::default() };
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let parsed = serde_saphyr::with_deserializer_from_slice_with_options(body, options, |deserializer| {
        Seed(&mut state).deserialize(deserializer)
    });
    let value = parsed.map_err(|error| format!("yaml: {error}"))?;
    Ok(Parsed { value, duplicates: state.duplicates })
}

#[derive(Default)]
struct State {
    depth: usize,
    /// Relative to the value under way; whoever reads a field or an item puts its own place in front.
    duplicates: Vec<String>,
    /// Whether `1.0` is an integer, as it is in JSON made from YAML.
    whole_floats: bool,
}

impl State {
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(E::custom("exceeded max depth")) } else { Ok(()) }
    }

    /// Names the place of duplicates found since there were `known`.
    fn locate(&mut self, known: usize, place: impl Fn(&str) -> String) {
        for duplicate in &mut self.duplicates[known..] {
            *duplicate = place(duplicate);
        }
    }
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

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
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
        // `-0` is an integer, which serde_json has no other form for.
        if value == 0.0 && value.is_sign_negative() {
            return Ok(0.into());
        }
        if self.0.whole_floats && value.fract() == 0.0 && value.abs() < 9e15 {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            return Ok((value as i64).into());
        }
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
        state.enter::<A::Error>()?;
        let mut list = Vec::new();
        loop {
            let known = state.duplicates.len();
            let Some(item) = items.next_element_seed(Seed(state))? else { break };
            if state.duplicates.len() > known {
                state.locate(known, |path| join_index(list.len(), path));
            }
            list.push(item);
        }
        state.depth -= 1;
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let state = self.0;
        state.enter::<A::Error>()?;
        let mut map = Map::with_capacity(4);
        let others = state.duplicates.len();
        while let Some(Name(name)) = fields.next_key::<Name>()? {
            let known = state.duplicates.len();
            let value = fields.next_value_seed(Seed(state))?;
            if state.duplicates.len() > known {
                state.locate(known, |path| join_field(&name, path));
            }
            match map.entry(name) {
                serde_json::map::Entry::Vacant(place) => drop(place.insert(value)),
                serde_json::map::Entry::Occupied(mut place) => {
                    if !state.duplicates[others..].contains(place.key()) {
                        state.duplicates.push(place.key().clone());
                    }
                    place.insert(value);
                }
            }
        }
        state.depth -= 1;
        Ok(Value::Object(map))
    }
}

/// `spec` before `replicas`: `spec.replicas`; before `[0]`: `spec[0]`.
pub(crate) fn join_field(name: &str, rest: &str) -> String {
    match rest.as_bytes().first() {
        None => name.to_owned(),
        Some(b'[') => format!("{name}{rest}"),
        Some(_) => format!("{name}.{rest}"),
    }
}

/// `[0]` before `name`: `[0].name`.
pub(crate) fn join_index(index: usize, rest: &str) -> String {
    join_field(&format!("[{index}]"), rest)
}

/// A field's name. In YAML a scalar of another type may stand there.
struct Name(String);

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(name.to_owned()))
            }

            fn visit_string<E>(self, name: String) -> Result<Name, E> {
                Ok(Name(name))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_are_named_by_path_and_the_last_one_counts() {
        let parsed =
            json(br#"{"spec":{"a":[{"b":1,"b":2,"b":3},{"c":{"d":1,"d":2}}]},"n":-1,"f":1.5,"x":null}"#).unwrap();
        assert_eq!(parsed.value, json!({"spec": {"a": [{"b": 3}, {"c": {"d": 2}}]}, "n": -1, "f": 1.5, "x": null}));
        assert_eq!(parsed.duplicates, ["spec.a[0].b", "spec.a[1].c.d"]);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in [&b"{"[..], b"{} x", b"", b"{\"a\":}"] {
            assert!(json(bad).is_err(), "{bad:?}");
        }
        assert!(json("[".repeat(200).as_bytes()).is_err());
        assert!(json(format!("{}1{}", "[".repeat(100), "]".repeat(100)).as_bytes()).is_ok());
    }

    #[test]
    fn yaml_is_read_as_the_json_it_stands_for() {
        let check = |text: &str, expected: Value| assert_eq!(yaml(text.as_bytes()).unwrap().value, expected, "{text}");
        check(
            "a: 1\nb: [x, true, null]\nc:\n  d: 2.0\n  e: 1.5\n",
            json!({"a": 1, "b": ["x", true, null], "c": {"d": 2, "e": 1.5}}),
        );
        check("80: http\n", json!({"80": "http"}));
        check("text: |\n  two\n  lines\n", json!({"text": "two\nlines\n"}));
        check("{\"a\": {\"b\": \"c\"}}", json!({"a": {"b": "c"}}));
        check("{a: b}", json!({"a": "b"}));
        check("quoted: \"1\"\nempty:\n", json!({"quoted": "1", "empty": null}));
    }

    #[test]
    fn yaml_duplicates_are_noticed_too() {
        let parsed = yaml(b"spec:\n  a: 1\n  a: 2\n").unwrap();
        assert_eq!((parsed.value, parsed.duplicates), (json!({"spec": {"a": 2}}), vec!["spec.a".to_owned()]));
        assert!(yaml(b"a: [").is_err());
        assert!(yaml("[".repeat(5000).as_bytes()).is_err());
    }
}
