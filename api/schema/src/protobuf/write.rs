//! JSON to protobuf.

use serde_json::{Map, Value};

use super::envelope::envelope;
use super::scalar;
use super::table::Messages;
use super::wire::{put_bytes, put_varint, varint_len};
use crate::Schema;
use crate::definitions::Type;

/// An object of a type as a message, without an envelope. Fields go by number; what the type does not know, and what has
/// no value of its type, is left out.
pub fn message(schema: Schema<'static>, object: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    if let Value::Object(map) = object {
        write(Messages::builtin(), schema.index(), map, &mut out);
    }
    out
}

/// An object in its envelope, by what it says of its type; `None` for types that protobuf does not know.
pub fn encode(object: &Value) -> Option<Vec<u8>> {
    let (api_version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
    let body = match (api_version, kind) {
        ("meta.k8s.io/v1", "PartialObjectMetadata") => partial_message(object),
        ("meta.k8s.io/v1", "PartialObjectMetadataList") => {
            let mut out = list_head(&object["metadata"]);
            for item in object["items"].as_array().into_iter().flatten() {
                put_bytes(&mut out, 2, &partial_message(item));
            }
            out
        }
        _ => {
            let messages = Messages::builtin();
            let index = messages.of_kind(api_version, kind)?;
            let mut out = Vec::with_capacity(512);
            write(messages, index, object.as_object()?, &mut out);
            out
        }
    };
    let mut bytes = envelope(api_version, kind, body.len());
    bytes.extend_from_slice(&body);
    Some(bytes)
}

/// What the message of a list begins with: its metadata. Its items follow, each behind a [`list_item`].
pub fn list_head(metadata: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(schema) = Schema::named("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta") {
        put_bytes(&mut out, 1, &message(schema, metadata));
    }
    out
}

/// A watch's event in its frame: the length in four bytes, big endian, and a `metav1.WatchEvent` around an object in its
/// envelope.
pub fn watch_frame(event: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(object.len() + 8);
    put_bytes(&mut raw, 1, object);
    let mut out = vec![0; 4];
    out.reserve(raw.len() + event.len() + 16);
    put_bytes(&mut out, 1, event.as_bytes());
    put_bytes(&mut out, 2, &raw);
    let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}

/// The message of an object of which only the metadata is wanted (`PartialObjectMetadata`).
pub fn partial_message(object: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if let (Some(schema), metadata @ Value::Object(_)) =
        (Schema::named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"), &object["metadata"])
    {
        put_bytes(&mut out, 1, &message(schema, metadata));
    }
    out
}

/// What stands before an item of `length` bytes in the message of a list: each list has its items at number 2.
pub fn list_item(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + varint_len(length as u64));
    out.push(2 << 3 | 2);
    put_varint(&mut out, length as u64);
    out
}

fn write(messages: &Messages, index: usize, map: &Map<String, Value>, out: &mut Vec<u8>) {
    for slot in messages.at(index) {
        if let Some(inline) = slot.inline {
            let mut inner = Vec::new();
            write(messages, inline, map, &mut inner);
            if !inner.is_empty() {
                put_bytes(out, slot.number, &inner);
            }
            continue;
        }
        match (&slot.ty, map.get(&*slot.name)) {
            (_, None) => {}
            (Type::List(item), Some(Value::Array(items))) if !slot.wrapped => {
                for value in items {
                    put(messages, slot.number, item, value, out);
                }
            }
            (Type::Map(inner), Some(Value::Object(map))) => {
                for (key, value) in map {
                    let mut entry = Vec::new();
                    put_bytes(&mut entry, 1, key.as_bytes());
                    put(messages, 2, inner, value, &mut entry);
                    put_bytes(out, slot.number, &entry);
                }
            }
            (ty, Some(value)) => put(messages, slot.number, ty, value, out),
        }
    }
}

fn put(messages: &Messages, number: u32, ty: &Type, value: &Value, out: &mut Vec<u8>) {
    match (ty, value) {
        (Type::Struct(index), Value::Object(map)) => {
            let mut inner = Vec::new();
            write(messages, *index, map, &mut inner);
            put_bytes(out, number, &inner);
        }
        (Type::List(item), Value::Array(items)) => {
            let mut inner = Vec::new();
            for value in items {
                put(messages, 1, item, value, &mut inner);
            }
            put_bytes(out, number, &inner);
        }
        (Type::Struct(_) | Type::List(_) | Type::Map(_), _) => {}
        (ty, value) => scalar::write(out, number, ty, value),
    }
}
