//! Admission: what a cluster demands of objects beyond their own rules. One file a plugin, one row in [`PLUGINS`].

mod default_tolerations;
mod namespace_lifecycle;
mod node_restriction;
mod node_taint;
mod priority;
mod service_account;

use raft_state::Snapshot;
use serde_json::Value;

use crate::context::Context;
use crate::{Api, Status, forms};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

/// One request, as plugins see it.
pub(crate) struct Attributes<'a> {
    pub(crate) context: &'a Context,
    pub(crate) operation: Operation,
    pub(crate) subresource: &'a str,
    /// The object as it is to be; plugins may change it.
    pub(crate) object: &'a mut Value,
    /// The object as it was.
    pub(crate) old: Option<&'a Value>,
    /// For look-ups of other objects.
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) warnings: Vec<String>,
}

/// A plugin: looks at a request, may change its object, may refuse it. An object that was refused may come again as the
/// plugins left it, so what a plugin has done it must recognise, as in Kubernetes.
pub(crate) struct Plugin {
    pub(crate) name: &'static str,
    pub(crate) admit: fn(&mut Attributes<'_>) -> Result<(), Status>,
}

/// All plugins, in the order in which they run.
const PLUGINS: &[&Plugin] = &[
    &namespace_lifecycle::PLUGIN,
    &service_account::PLUGIN,
    &node_restriction::PLUGIN,
    &node_taint::PLUGIN,
    &priority::PLUGIN,
    &default_tolerations::PLUGIN,
];

/// Runs all plugins.
pub(crate) async fn admit(
    api: &Api,
    context: &Context,
    operation: Operation,
    subresource: &str,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<Vec<String>, Status> {
    let snapshot = api.store.snapshot();
    let refused = match run(context, operation, subresource, object, old, &snapshot) {
        Ok(warnings) => return Ok(warnings),
        Err(status) => status,
    };
    // What this member has may be old: a namespace that was made a moment ago on another must not be missed.
    let level = raft_state::port::ReadLevel::Linearizable;
    let newer = api.store.read(level, context.deadline).await.map_err(|error| Status::reading(&error, None))?;
    if newer.revision() == snapshot.revision() {
        return Err(refused);
    }
    run(context, operation, subresource, object, old, &newer)
}

fn run(
    context: &Context,
    operation: Operation,
    subresource: &str,
    object: &mut Value,
    old: Option<&Value>,
    snapshot: &Snapshot,
) -> Result<Vec<String>, Status> {
    let mut attributes = Attributes { context, operation, subresource, object, old, snapshot, warnings: Vec::new() };
    for plugin in PLUGINS {
        (plugin.admit)(&mut attributes).inspect_err(|status| {
            tracing::debug!(plugin = plugin.name, message = status.message, "refused");
        })?;
    }
    Ok(attributes.warnings)
}

impl<'a> Attributes<'a> {
    /// Whether a new object of a kind is being made.
    fn creates(&self, kind: &str) -> bool {
        self.operation == Operation::Create && self.subresource.is_empty() && self.context.kind.kind == kind
    }

    fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Another object, by its key.
    fn look_up(&self, key: &str) -> Option<&'a Value> {
        self.snapshot.get(key.as_bytes()).map(|entry| forms::decoded(entry))
    }
}
