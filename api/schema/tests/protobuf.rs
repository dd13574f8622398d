//! Protobuf as Go writes it: `recorded/protobuf.json` holds objects in bytes of k8s.io/apimachinery's own serializer, each
//! with the JSON that Go shows of what it read back from them.

use api_schema::protobuf::{ReadError, envelope, message, read};
use api_schema::{FieldValidation, Schema, check};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Without nulls, which no object keeps.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn schema(object: &Value) -> Schema<'static> {
    let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let definitions = api_schema::Definitions::builtin();
    let named = definitions
        .all()
        .iter()
        .find(|definition| definition.kinds.iter().any(|(g, v, k)| &**g == group && &**v == version && &**k == kind));
    Schema::named(&named.unwrap_or_else(|| panic!("{api_version} {kind}")).name).unwrap()
}

/// To protobuf and back.
fn round_trip(object: &Value) -> Value {
    let body = message(schema(object), object);
    let mut bytes = envelope(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap(), body.len());
    bytes.extend_from_slice(&body);
    read(&bytes, None).unwrap()
}

fn recorded() -> Vec<(Vec<u8>, Value)> {
    let recorded: Vec<Value> = serde_json::from_str(include_str!("recorded/protobuf.json")).unwrap();
    recorded
        .into_iter()
        .map(|case| (STANDARD.decode(case["bytes"].as_str().unwrap()).unwrap(), without_nulls(&case["object"])))
        .collect()
}

#[test]
fn what_go_wrote_reads_as_go_shows_it() {
    let mut differ = Vec::new();
    for (bytes, expected) in recorded() {
        let found = without_nulls(&read(&bytes, None).unwrap());
        if found != expected {
            differ.push(format!("{found}\nis not\n{expected}"));
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n\n"));
}

#[test]
fn what_is_written_reads_the_same() {
    for (_, object) in recorded() {
        assert_eq!(without_nulls(&round_trip(&object)), object);
    }
}

#[test]
fn objects_of_every_kind_survive_the_round_trip() {
    let recorded: Value = serde_json::from_str(include_str!("../../kinds/tests/recorded.json")).unwrap();
    let outcomes = recorded["cases"].as_array().unwrap().iter().map(|case| &case["out"]);
    let mut tried = 0;
    for object in recorded["bases"].as_object().unwrap().values().chain(outcomes) {
        if !object["kind"].is_string() {
            continue;
        }
        let mut expected = object.clone();
        check(schema(object), &mut expected, &[], FieldValidation::Ignore).unwrap();
        // Only the envelope names a type: those of objects within objects are for JSON alone.
        for claim in expected["spec"]["volumeClaimTemplates"].as_array_mut().into_iter().flatten() {
            claim.as_object_mut().unwrap().retain(|field, _| field != "kind" && field != "apiVersion");
        }
        let found = round_trip(&expected);
        assert!(api_kinds::equality::same(&found, &expected), "{found}\nis not\n{expected}");
        tried += 1;
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn a_body_without_a_type_is_what_was_expected() {
    let options = Schema::named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions").unwrap();
    let body = message(options, &json!({"gracePeriodSeconds": 0}));
    let mut bytes = envelope("", "", body.len());
    bytes.extend_from_slice(&body);
    assert_eq!(read(&bytes, Some(options)), Ok(json!({"gracePeriodSeconds": 0})));
    assert!(matches!(read(&bytes, None), Err(ReadError::Kind { .. })));
}

#[test]
fn what_is_no_object_is_refused() {
    assert_eq!(read(b"{}", None), Err(ReadError::Magic));
    let (bytes, _) = recorded().swap_remove(0);
    // Cut anywhere, it either lacks something or ends between two fields; it never panics.
    for end in 4..bytes.len() {
        let _ = read(&bytes[..end], None);
    }
    assert_eq!(read(&bytes[..bytes.len() - 1], None), Err(ReadError::Truncated));
    // Messages within messages without end.
    let schema = Schema::named("io.k8s.api.core.v1.Pod").unwrap();
    let mut deep = Vec::new();
    for _ in 0..200 {
        let mut outer = vec![1 << 3 | 2];
        let mut length = deep.len();
        while length >= 0x80 {
            outer.push(length.to_le_bytes()[0] | 0x80);
            length >>= 7;
        }
        outer.push(length.to_le_bytes()[0]);
        outer.extend_from_slice(&deep);
        deep = outer;
    }
    let mut bytes = envelope("", "", deep.len());
    bytes.extend_from_slice(&deep);
    assert!(read(&bytes, Some(schema)).is_err());
}

proptest::proptest! {
    /// Whatever bytes come, reading them ends, without a panic.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let schema = Schema::named("io.k8s.api.core.v1.Pod").unwrap();
        let mut enveloped = envelope("", "", bytes.len());
        enveloped.extend_from_slice(&bytes);
        let _ = read(&enveloped, Some(schema));
    }
}
