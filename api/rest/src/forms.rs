//! Other forms of an object, made once and kept beside its bytes: what selectors read of it, its protobuf, and all of that
//! as another kind where one object has two faces.

use std::sync::{Arc, OnceLock};

use api_kinds::Kind;
use api_kinds::selector::{FieldTerm, Selector};
use api_schema::{Schema, protobuf};
use bytes::Bytes;
use raft_state::Entry;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Status;
use crate::object::decode;
use crate::skim::skim;

#[derive(Default)]
struct Forms {
    /// Of the kind that the object is stored as.
    own: OnceLock<Face>,
    /// Of the kind that is another face of it.
    other: OnceLock<Box<Face>>,
    /// Decoded, once admission has looked it up: namespaces, service accounts, classes.
    decoded: OnceLock<Box<Value>>,
}

/// What one kind makes of an object.
struct Face {
    labels: Vec<(Box<str>, Box<str>)>,
    /// Values of the kind's selectable fields, in their order.
    fields: Vec<Box<str>>,
    /// The object in JSON, where it is not what is stored.
    json: Option<Bytes>,
    /// Its message in protobuf, once somebody has asked for it.
    protobuf: OnceLock<Bytes>,
}

/// What a selector of labels reads.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: Map<String, Value>,
}

fn face<'e>(kind: &Kind, entry: &'e Entry) -> &'e Face {
    let forms = entry.forms(|_| Forms::default());
    match kind.stored_as {
        None => forms.own.get_or_init(|| make(kind, entry)),
        Some(_) => forms.other.get_or_init(|| Box::new(make(kind, entry))),
    }
}

fn make(kind: &Kind, entry: &Entry) -> Face {
    let boxed = |text: &str| text.to_owned().into_boxed_str();
    let listed = |labels: &Map<String, Value>| {
        labels.iter().map(|(key, value)| (boxed(key), boxed(value.as_str().unwrap_or_default()))).collect()
    };
    if kind.selectable.is_empty() && kind.stored_as.is_none() {
        let labels = serde_json::from_slice(&entry.value).map(|head: Head| listed(&head.metadata.labels));
        return Face { labels: labels.unwrap_or_default(), fields: Vec::new(), json: None, protobuf: OnceLock::new() };
    }
    let object = match kind.stored_as {
        // What selectors read lies in no list.
        None => skim(&entry.value).unwrap_or_default(),
        Some(_) => decode(kind, entry).unwrap_or_default(),
    };
    let labels = object["metadata"]["labels"].as_object().map(listed).unwrap_or_default();
    let fields = kind.selectable.iter().map(|(_, read)| read(&object).into_boxed_str()).collect();
    let json = kind.stored_as.map(|_| object.to_string().into());
    Face { labels, fields, json, protobuf: OnceLock::new() }
}

/// An object as it is stored, decoded once and kept: for what is looked up again and again. `Null` when it is none.
pub(crate) fn decoded(entry: &Entry) -> &Value {
    entry
        .forms(|_| Forms::default())
        .decoded
        .get_or_init(|| Box::new(serde_json::from_slice(&entry.value).unwrap_or_default()))
}

/// An object's bytes in JSON: those that are stored, unless the kind is another face of it.
pub(crate) fn json(kind: &Kind, entry: &Entry) -> Bytes {
    if kind.stored_as.is_none() {
        return entry.value.clone();
    }
    face(kind, entry).json.clone().unwrap_or_default()
}

/// An object's message in protobuf, without its envelope.
pub(crate) fn message(kind: &'static Kind, entry: &Entry) -> Bytes {
    let made = face(kind, entry).protobuf.get_or_init(|| {
        let object = decode(kind, entry).unwrap_or_default();
        Schema::of(kind).map(|schema| protobuf::message(schema, &object)).unwrap_or_default().into()
    });
    made.clone()
}

/// An object in protobuf, in its envelope.
pub(crate) fn enveloped(kind: &'static Kind, entry: &Entry) -> Bytes {
    let message = message(kind, entry);
    let mut out = protobuf::envelope(&kind.api_version(), kind.kind, message.len());
    out.extend_from_slice(&message);
    out.into()
}

/// What a list or watch selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    labels: Selector,
    fields: Vec<FieldTerm>,
}

impl Filter {
    /// Reads both selectors of a query.
    pub(crate) fn parse(kind: &Kind, labels: Option<&str>, fields: Option<&str>) -> Result<Self, Status> {
        let labels = Selector::parse(labels.unwrap_or_default()).map_err(Status::bad_request)?;
        let fields = api_kinds::selector::parse_fields(fields.unwrap_or_default()).map_err(Status::bad_request)?;
        for term in &fields {
            // Nodes and Namespaces, which name their own fields, are in no namespace.
            let everywhere = kind.namespaced() || kind.selectable.is_empty();
            let known = term.field == "metadata.name"
                || (term.field == "metadata.namespace" && everywhere)
                || kind.selectable.iter().any(|(name, _)| *name == term.field);
            if !known {
                let message = if kind.selectable.is_empty() {
                    let only = "only \"metadata.name\", \"metadata.namespace\"";
                    format!("{:?} is not a known field selector: {only}", term.field)
                } else {
                    format!("field label not supported: {}", term.field)
                };
                return Err(Status::bad_request(message));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Whether it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The same, and only one name.
    #[must_use]
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.fields.push(FieldTerm { field: "metadata.name".to_owned(), value: name.to_owned(), equal: true });
        self
    }

    /// Whether it selects an entry.
    pub(crate) fn selects(&self, kind: &'static Kind, entry: &Arc<Entry>) -> bool {
        if self.is_empty() {
            return true;
        }
        let (namespace, name) = address(kind, &entry.key);
        let face = face(kind, entry);
        let field = |term: &FieldTerm| match term.field.as_str() {
            "metadata.name" => name == term.value,
            "metadata.namespace" => namespace == term.value,
            field => {
                let index = kind.selectable.iter().position(|(name, _)| *name == field);
                index.is_some_and(|i| *face.fields[i] == *term.value)
            }
        };
        self.fields.iter().all(|term| field(term) == term.equal)
            && self.labels.matches(|key| face.labels.iter().find(|(k, _)| **k == *key).map(|(_, v)| &**v))
    }
}

/// Namespace and name in a key; the namespace is empty for cluster-wide kinds.
pub(crate) fn address<'a>(kind: &Kind, key: &'a [u8]) -> (&'a str, &'a str) {
    let rest = key.get(kind.key_prefix().len()..).and_then(|rest| std::str::from_utf8(rest).ok()).unwrap_or_default();
    if kind.namespaced() { rest.split_once('/').unwrap_or(("", rest)) } else { ("", rest) }
}
