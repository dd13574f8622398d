//! Metadata, the same for all kinds.

use std::collections::BTreeMap;

use api_kinds::time;
use raft_state::Revision;
use serde_json::Value;

/// An owner reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `apps/v1`
    pub api_version: String,
    /// `ReplicaSet`
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether it manages the object.
    pub controller: bool,
    /// Whether it waits for the object when it is deleted in the foreground.
    pub blocks: bool,
}

/// What controllers read of `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Empty for cluster-wide objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The revision that the view has of it.
    pub revision: Revision,
    /// Of the spec.
    pub generation: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Owners.
    pub owners: Vec<Owner>,
    /// Finalizers.
    pub finalizers: Vec<String>,
    /// Whether deletion was asked for.
    pub deleting: bool,
    /// Microseconds since the epoch.
    pub created_us: i64,
}

/// Only the metadata of an object, as a value: what is read of kinds of which nothing else counts.
#[derive(serde::Deserialize)]
struct Head {
    metadata: Value,
}

impl Meta {
    /// Reads the metadata out of an object's bytes, passing over the rest.
    pub fn read_bytes(bytes: &[u8], revision: Revision) -> Option<Self> {
        let head: Head = serde_json::from_slice(bytes).ok()?;
        Some(Self::of(&head.metadata, revision))
    }

    /// Reads the metadata of an object.
    pub fn read(object: &Value, revision: Revision) -> Self {
        Self::of(&object["metadata"], revision)
    }

    fn of(metadata: &Value, revision: Revision) -> Self {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let strings = |field: &str| -> Vec<String> {
            metadata[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let owners = metadata["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|owner| Owner {
                api_version: text(owner, "apiVersion"),
                kind: text(owner, "kind"),
                name: text(owner, "name"),
                uid: text(owner, "uid"),
                controller: owner["controller"] == true,
                blocks: owner["blockOwnerDeletion"] == true,
            })
            .collect();
        let labels = metadata["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        Self {
            namespace: text(metadata, "namespace"),
            name: text(metadata, "name"),
            uid: text(metadata, "uid"),
            revision,
            generation: metadata["generation"].as_i64().unwrap_or(0),
            labels,
            owners,
            finalizers: strings("finalizers"),
            deleting: metadata["deletionTimestamp"].is_string(),
            created_us: metadata["creationTimestamp"].as_str().and_then(time::parse).unwrap_or(0),
        }
    }

    /// The owner that manages it.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }
}
