//! What a controller is.

use std::sync::Arc;

use api_kinds::Kind;

use crate::objects::Meta;
use crate::{Now, Plan, View};

/// What a controller is asked about: namespace (empty for cluster-wide objects) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// One object changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Of what kind.
    pub kind: &'static Kind,
    /// Which.
    pub key: Key,
    /// What it was; `None` when it is new.
    pub old: Option<Arc<Meta>>,
    /// What it is; `None` when it is gone.
    pub new: Option<Arc<Meta>>,
}

impl Change {
    /// Whether it is about a kind.
    pub fn is(&self, kind: &'static Kind) -> bool {
        std::ptr::eq(self.kind, kind)
    }

    /// What it was and what it is, as far as there is either.
    pub fn both(&self) -> impl Iterator<Item = &Meta> {
        self.old.iter().chain(&self.new).map(|meta| &**meta)
    }
}

/// A controller: which keys a change concerns, and what is to be done about a key.
pub struct Controller {
    /// As events name it: `replicaset-controller`.
    pub name: &'static str,
    /// The keys that a change concerns. The view holds the change already.
    pub wakes: fn(&View, &Change) -> Vec<Key>,
    /// What is to be done about a key now.
    pub reconcile: fn(&View, &Key, &Now) -> Plan,
    /// Keys of other controllers whose plans must have been carried out, and be in the view, before this one looks at a key.
    pub after: fn(&View, &Key) -> Vec<(&'static Controller, Key)>,
}

impl Controller {
    /// One that waits for no other.
    pub const fn new(
        name: &'static str,
        wakes: fn(&View, &Change) -> Vec<Key>,
        reconcile: fn(&View, &Key, &Now) -> Plan,
    ) -> Self {
        Self { name, wakes, reconcile, after: |_, _| Vec::new() }
    }
}
