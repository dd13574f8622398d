//! What a verb knows of the request that it serves.

use std::time::Instant;

use api_kinds::Kind;
use api_schema::FieldValidation;
use raft_state::Epoch;

use crate::Identity;

/// One request, whether it came over HTTP or from a controller.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) identity: Identity,
    pub(crate) kind: &'static Kind,
    /// Empty for cluster-wide kinds, and for lists over all namespaces.
    pub(crate) namespace: String,
    pub(crate) deadline: Instant,
    pub(crate) dry_run: bool,
    /// Set for what the manager does.
    pub(crate) epoch: Option<Epoch>,
    pub(crate) manager: String,
    pub(crate) validation: FieldValidation,
    /// The manager's own objects of the cluster, which need not please users' rules: endpoints on loopback, for one.
    pub(crate) trusted: bool,
}

impl Context {
    /// The key of an object of this request.
    pub(crate) fn key(&self, name: &str) -> String {
        self.kind.key(&self.namespace, name)
    }

    /// The prefix of what a list or watch covers.
    pub(crate) fn prefix(&self) -> String {
        if self.namespace.is_empty() {
            self.kind.key_prefix()
        } else {
            format!("{}{}/", self.kind.key_prefix(), self.namespace)
        }
    }
}
