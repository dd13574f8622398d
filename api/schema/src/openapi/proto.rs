//! The Swagger document in protobuf, which is the only form that kubectl asks for (`/openapi/v2`).
//!
//! The messages are gnostic's `openapi.v2`; only those fields are named here that [`super::v2`] writes. One writer walks
//! the JSON document along a table of messages.

use serde_json::{Map, Value};

use crate::protobuf::wire::{put_bytes, put_int};

/// A message: its fields by JSON name, and where members that begin with `x-` go.
struct Message {
    fields: &'static [(&'static str, u32, Shape)],
    extensions: u32,
}

/// How a JSON value is written.
enum Shape {
    Text,
    Flag,
    Texts,
    /// A message.
    One(&'static Message),
    /// A message inside others, named from the outside in by their only fields.
    Inside(&'static [u32], &'static Message),
    /// A list of messages, each inside others.
    Each(&'static [u32], &'static Message),
    /// A map in a message of its own: a list at this number of a name at 1 and a value at 2, the value inside others.
    Entries(u32, &'static [u32], &'static Message),
    /// A type: a list of one.
    TypeName,
    /// What may be anything, as YAML.
    Any,
    /// A list of parameters, whose messages differ by their place.
    Parameters,
    /// A list of maps from names to lists of strings.
    Requirements,
}

use Shape::{Any, Each, Entries, Flag, Inside, One, Parameters, Requirements, Text, Texts, TypeName};

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Text),
        ("info", 2, One(&INFO)),
        ("paths", 8, Entries(2, &[], &PATH_ITEM)),
        ("definitions", 9, Entries(1, &[], &SCHEMA)),
        ("security", 12, Requirements),
        ("securityDefinitions", 13, Entries(1, &[2], &API_KEY)),
    ],
    extensions: 16,
};
static INFO: Message = Message { fields: &[("title", 1, Text), ("version", 2, Text)], extensions: 7 };
static API_KEY: Message = Message {
    fields: &[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)],
    extensions: 5,
};
static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 2, One(&OPERATION)),
        ("put", 3, One(&OPERATION)),
        ("post", 4, One(&OPERATION)),
        ("delete", 5, One(&OPERATION)),
        ("patch", 8, One(&OPERATION)),
        ("parameters", 9, Parameters),
    ],
    extensions: 10,
};
static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Parameters),
        ("responses", 9, Entries(1, &[1], &RESPONSE)),
    ],
    extensions: 13,
};
static RESPONSE: Message =
    Message { fields: &[("description", 1, Text), ("schema", 2, Inside(&[1], &SCHEMA))], extensions: 5 };
static BODY: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, One(&SCHEMA)),
    ],
    extensions: 6,
};
static QUERY: Message = Message {
    fields: &[
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("uniqueItems", 20, Flag),
    ],
    extensions: 23,
};
static PATH: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("uniqueItems", 19, Flag),
    ],
    extensions: 22,
};
static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("required", 19, Texts),
        ("additionalProperties", 21, Inside(&[1], &SCHEMA)),
        ("type", 22, TypeName),
        ("items", 23, Inside(&[1], &SCHEMA)),
        ("allOf", 24, Each(&[], &SCHEMA)),
        ("properties", 25, Entries(1, &[], &SCHEMA)),
    ],
    extensions: 31,
};

/// Writes a document that is JSON already.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if let Value::Object(map) = document {
        write(&DOCUMENT, map, &mut out);
    }
    out
}

fn write(message: &Message, object: &Map<String, Value>, out: &mut Vec<u8>) {
    for (name, number, shape) in message.fields {
        if let Some(value) = object.get(*name) {
            put(*number, shape, value, out);
        }
    }
    for (name, value) in object.iter().filter(|(name, _)| name.starts_with("x-")) {
        let mut named = Vec::new();
        put_bytes(&mut named, 1, name.as_bytes());
        put(2, &Any, value, &mut named);
        put_bytes(out, message.extensions, &named);
    }
}

fn put(number: u32, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    let items = || value.as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match shape {
        Text => put_bytes(out, number, text(value).as_bytes()),
        Flag => put_int(out, number, u64::from(value == true)),
        Texts => items().for_each(|item| put_bytes(out, number, text(item).as_bytes())),
        One(message) => put_bytes(out, number, &inside(&[], message, value)),
        Inside(numbers, message) => put_bytes(out, number, &inside(numbers, message, value)),
        Each(numbers, message) => items().for_each(|item| put_bytes(out, number, &inside(numbers, message, item))),
        Entries(at, numbers, message) => {
            let mut entries = Vec::new();
            for (name, value) in value.as_object().into_iter().flatten() {
                let mut named = Vec::new();
                put_bytes(&mut named, 1, name.as_bytes());
                put_bytes(&mut named, 2, &inside(numbers, message, value));
                put_bytes(&mut entries, *at, &named);
            }
            put_bytes(out, number, &entries);
        }
        TypeName => {
            let mut list = Vec::new();
            put_bytes(&mut list, 1, text(value).as_bytes());
            put_bytes(out, number, &list);
        }
        Any => {
            // JSON is YAML.
            let mut any = Vec::new();
            put_bytes(&mut any, 2, value.to_string().as_bytes());
            put_bytes(out, number, &any);
        }
        Parameters => items().for_each(|item| put_bytes(out, number, &parameter(item))),
        Requirements => items().for_each(|item| put_bytes(out, number, &requirement(item))),
    }
}

/// A message's bytes, wrapped in others from the inside out.
fn inside(numbers: &[u32], message: &Message, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Value::Object(map) = value {
        write(message, map, &mut bytes);
    }
    for number in numbers.iter().rev() {
        let mut outer = Vec::with_capacity(bytes.len() + 8);
        put_bytes(&mut outer, *number, &bytes);
        bytes = outer;
    }
    bytes
}

/// A `ParametersItem`: a body, or one of the query or the path.
fn parameter(value: &Value) -> Vec<u8> {
    match value["in"].as_str() {
        Some("body") => inside(&[1, 1], &BODY, value),
        Some("path") => inside(&[1, 2, 4], &PATH, value),
        _ => inside(&[1, 2, 3], &QUERY, value),
    }
}

fn requirement(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for name in value.as_object().into_iter().flat_map(Map::keys) {
        let mut named = Vec::new();
        put_bytes(&mut named, 1, name.as_bytes());
        put_bytes(&mut named, 2, &[]);
        put_bytes(&mut out, 1, &named);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Every member of the document has a place in the table: nothing is lost silently.
    fn unplaced(message: &Message, value: &Value, path: &str, found: &mut Vec<String>) {
        for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with("x-")) {
            let path = format!("{path}.{name}");
            let Some((_, _, shape)) = message.fields.iter().find(|(known, ..)| known == name) else {
                found.push(path);
                continue;
            };
            match shape {
                One(inner) | Inside(_, inner) => unplaced(inner, value, &path, found),
                Each(_, inner) => {
                    value.as_array().unwrap().iter().for_each(|item| unplaced(inner, item, &path, found));
                }
                Entries(_, _, inner) => {
                    value.as_object().unwrap().values().for_each(|item| unplaced(inner, item, &path, found));
                }
                Parameters => {
                    for item in value.as_array().unwrap() {
                        let inner = match item["in"].as_str() {
                            Some("body") => &BODY,
                            Some("path") => &PATH,
                            _ => &QUERY,
                        };
                        unplaced(inner, item, &path, found);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_of_the_document_is_lost() {
        let mut found = Vec::new();
        unplaced(&DOCUMENT, &super::super::v2::document(), "", &mut found);
        found.sort();
        found.dedup();
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn messages_are_written_as_gnostic_reads_them() {
        let check = |document: Value, expected: &[u8]| {
            assert_eq!(encode(&document), expected, "{document}");
        };
        check(json!({"swagger": "2.0"}), b"\x0a\x032.0");
        check(json!({"info": {"title": "K"}}), b"\x12\x03\x0a\x01K");
        let definition = json!({"definitions": {"A": {"type": "string", "x-y": {"a": 1}}}});
        let schema = b"\xb2\x01\x08\x0a\x06string\xfa\x01\x10\x0a\x03x-y\x12\x09\x12\x07{\"a\":1}";
        let mut entry = b"\x0a\x01A\x12".to_vec();
        entry.push(u8::try_from(schema.len()).unwrap());
        entry.extend_from_slice(schema);
        let mut list = vec![0x0a, u8::try_from(entry.len()).unwrap()];
        list.extend_from_slice(&entry);
        let mut whole = vec![0x4a, u8::try_from(list.len()).unwrap()];
        whole.extend_from_slice(&list);
        check(definition, &whole);
        let parameter = json!({"paths": {"/p": {"parameters": [{"in": "path", "name": "n"}]}}});
        let inner = b"\x12\x04path\x22\x01n";
        let wrap = |number: u8, bytes: &[u8]| {
            let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
            out.extend_from_slice(bytes);
            out
        };
        let item = wrap(9, &wrap(1, &wrap(2, &wrap(4, inner))));
        let named = [&b"\x0a\x02/p"[..], &wrap(2, &item)].concat();
        check(parameter, &wrap(8, &wrap(2, &named)));
    }
}
