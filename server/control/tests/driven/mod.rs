//! A manager's runner, driven by hand: what it sees, and what it wants.

use std::sync::{Arc, OnceLock};

use raft_state::{Entry, Event, Revision};
use serde_json::Value;
use server_control::{Runner, View};

/// A runner, and how far its view is.
pub struct Driven {
    pub runner: Runner,
    pub revision: Revision,
}

impl Driven {
    pub fn new() -> Self {
        Self { runner: Runner::new(View::default()), revision: 0 }
    }

    /// An object changes, under its key below `/registry/`.
    pub fn sees(&mut self, key: &str, object: &Value) {
        self.revision += 1;
        let entry = Entry {
            key: format!("/registry/{key}").into_bytes().into(),
            value: object.to_string().into_bytes().into(),
            create_revision: self.revision,
            mod_revision: self.revision,
            sub: 0,
            version: 1,
            lease: 0,
            spliced: None,
            sealed: false,
            digest: 0,
            forms: OnceLock::new(),
        };
        let entry = Arc::new(entry);
        self.runner.on_event(&Event { revision: self.revision, entry, previous: None, deleted: false });
    }
}
