//! A manager's runner, driven by hand: what it sees, and what it wants.

use raft_state::Revision;
use serde_json::Value;
use server_control::{Runner, View};
use tests_solo::event;

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
        let event = event(&format!("/registry/{key}"), object.to_string().into_bytes(), self.revision, false);
        self.runner.on_event(&event);
    }
}
