//! How an answer is to look: the object, only its metadata, or a table row.

use api_kinds::{Column, Kind};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::Status;
use crate::query::Query;

/// The form that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The stored bytes.
    Plain,
    /// PartialObjectMetadata, of one object.
    Metadata,
    /// PartialObjectMetadataList, of a list.
    MetadataList,
    /// meta.k8s.io/v1 Table.
    Table {
        /// What each row carries of its object.
        include: Include,
    },
}

/// `includeObject`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

impl Form {
    /// Refuses a table whose rows are to carry something that there is not.
    pub(crate) fn check(self, query: &Query) -> Result<(), Status> {
        match query.include_object.as_deref() {
            Some(other) if !matches!(other, "" | "None" | "Metadata" | "Object") && self != Self::Plain => {
                Err(Status::bad_request(format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
                )))
            }
            _ => Ok(()),
        }
    }

    /// One object in this form.
    pub(crate) fn one(self, kind: &'static Kind, bytes: Bytes, now_us: i64) -> Result<Bytes, Status> {
        if self == Self::Plain {
            return Ok(bytes);
        }
        let object: Value = serde_json::from_slice(&bytes).map_err(Status::internal)?;
        let value = match self {
            Self::Table { include } => {
                let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                table(kind, vec![row(kind, object, include, now_us)], metadata, true)
            }
            Self::MetadataList => {
                return Err(Status::no_such_form("PartialObjectMetadataList", "not a list", kind, ""));
            }
            Self::Metadata | Self::Plain => partial(object),
        };
        Ok(value.to_string().into())
    }
}

/// A Table of rows. `columns` says whether definitions are sent (in a watch, only with the first event).
pub(crate) fn table(kind: &Kind, rows: Vec<Value>, metadata: Value, columns: bool) -> Value {
    let definition = |column: &Column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format, "priority": column.priority,
            "description": format!("{} of the {}", column.name, kind.singular),
        })
    };
    let definitions: Value = if columns { kind.table_columns().map(definition).collect() } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

/// One row.
pub(crate) fn row(kind: &Kind, object: Value, include: Include, now_us: i64) -> Value {
    let cells = kind.table_cells(&object, now_us);
    let carried = match include {
        Include::None => Value::Null,
        Include::Metadata => partial(object),
        Include::Object => object,
    };
    json!({"cells": cells, "object": carried})
}

/// Only the metadata of an object.
pub(crate) fn partial(mut object: Value) -> Value {
    let mut map = Map::new();
    map.insert("kind".to_owned(), "PartialObjectMetadata".into());
    map.insert("apiVersion".to_owned(), "meta.k8s.io/v1".into());
    map.insert("metadata".to_owned(), object["metadata"].take());
    Value::Object(map)
}
