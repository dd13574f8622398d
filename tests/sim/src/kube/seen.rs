//! What checkers and nodes read of objects in the log.

use raft_state::Event;
use serde::Deserialize;
use serde_json::Value;

/// Keys of pods.
pub const PODS: &[u8] = b"/registry/core/pods/";
/// Keys of nodes.
pub const NODES: &[u8] = b"/registry/core/nodes/";
/// Keys of ConfigMaps.
pub const CONFIG_MAPS: &[u8] = b"/registry/core/configmaps/";
/// Keys of Deployments.
pub const DEPLOYMENTS: &[u8] = b"/registry/apps/deployments/";

/// Of `metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// This incarnation.
    pub uid: String,
    /// Grows with the spec.
    pub generation: i64,
    /// Whether deletion was asked for.
    pub deletion_timestamp: Option<String>,
    /// Who owns it.
    pub owner_references: Vec<Owner>,
    /// The application that it is part of.
    pub labels: Labels,
}

/// The one label of these worlds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// `app`
    pub app: String,
}

/// An owner.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// Which incarnation.
    pub uid: String,
}

/// An object, as far as it is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// Who it is.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: Value,
    /// What is.
    pub status: Value,
}

/// What an event is about, when its key begins so and it can be read.
pub fn object(event: &Event, prefix: &[u8]) -> Option<Object> {
    event.entry.key.starts_with(prefix).then(|| serde_json::from_slice(&event.entry.value).ok())?
}

impl Object {
    /// Of a pod: the node that it is bound to; empty for none.
    pub fn node(&self) -> &str {
        self.spec["nodeName"].as_str().unwrap_or_default()
    }

    /// Of a pod: it has ended for good.
    pub fn is_finished(&self) -> bool {
        matches!(self.status["phase"].as_str(), Some("Succeeded" | "Failed"))
    }

    /// Of a pod: it is to go on.
    pub fn is_alive(&self) -> bool {
        self.metadata.deletion_timestamp.is_none() && !self.is_finished()
    }

    /// Of a pod: it serves, and is to go on.
    pub fn is_available(&self) -> bool {
        let mut conditions = self.status["conditions"].as_array().into_iter().flatten();
        self.is_alive() && conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
    }

    /// A number of the status, 0 when it is not there.
    pub fn count(&self, field: &str) -> usize {
        usize::try_from(self.status[field].as_u64().unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// `spec.replicas`
    pub fn replicas(&self) -> usize {
        usize::try_from(self.spec["replicas"].as_u64().unwrap_or(1)).unwrap_or(usize::MAX)
    }
}

/// Thousandths of a core of a quantity such as `250m` or `2`.
pub fn millicores(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap_or("0");
    match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse().unwrap_or(0),
        None => text.parse::<u64>().unwrap_or(0) * 1000,
    }
}
