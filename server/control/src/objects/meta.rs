//! Metadata, the same for all kinds.

use std::borrow::Cow;

use api_kinds::time;
use raft_state::Revision;
use serde::Deserialize;
use serde_json::Value;

use super::Labels;

/// An owner reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
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
    #[serde(rename = "blockOwnerDeletion")]
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
    pub labels: Labels,
    /// Owners.
    pub owners: Vec<Owner>,
    /// Finalizers.
    pub finalizers: Vec<String>,
    /// Whether deletion was asked for.
    pub deleting: bool,
    /// Microseconds since the epoch.
    pub created_us: i64,
}

/// Metadata as it is written, borrowed from there. Everything else is passed over without being decoded.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    generation: i64,
    labels: Labels,
    owner_references: Vec<Owner>,
    finalizers: Vec<String>,
    #[serde(borrow)]
    deletion_timestamp: Option<Cow<'a, str>>,
    #[serde(borrow)]
    creation_timestamp: Option<Cow<'a, str>>,
    pub(super) annotations: Annotations,
}

/// The annotations that controllers read.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Annotations {
    #[serde(rename = "controller.kubernetes.io/pod-deletion-cost")]
    pub(super) pod_deletion_cost: Option<String>,
}

/// Only the metadata of an object.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    metadata: Wire<'a>,
}

impl Meta {
    /// Reads the metadata out of an object's bytes, passing over the rest.
    pub fn read_bytes(bytes: &[u8], revision: Revision) -> Option<Self> {
        let head: Head<'_> = serde_json::from_slice(bytes).ok()?;
        Some(Self::of(head.metadata, revision))
    }

    /// Reads the metadata of an object.
    pub fn read(object: &Value, revision: Revision) -> Self {
        Self::of(Wire::deserialize(&object["metadata"]).unwrap_or_default(), revision)
    }

    pub(super) fn of(wire: Wire<'_>, revision: Revision) -> Self {
        Self {
            namespace: wire.namespace.into_owned(),
            name: wire.name.into_owned(),
            uid: wire.uid.into_owned(),
            revision,
            generation: wire.generation,
            labels: wire.labels,
            owners: wire.owner_references,
            finalizers: wire.finalizers,
            deleting: wire.deletion_timestamp.is_some(),
            created_us: wire.creation_timestamp.as_deref().and_then(time::parse).unwrap_or(0),
        }
    }

    /// The owner that manages it.
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }
}
