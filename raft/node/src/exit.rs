//! How a member dies when it must not go on.

use std::sync::Arc;

/// Ends the process, at once and without cleaning up: whatever is broken must not write another byte. Tests put
/// something gentler in its place.
#[derive(Clone)]
pub struct Exit(Arc<dyn Fn(&str) + Send + Sync>);

impl Default for Exit {
    fn default() -> Self {
        Self(Arc::new(|_| std::process::abort()))
    }
}

impl Exit {
    /// Calls `action` instead of ending the process.
    pub fn with(action: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(action))
    }

    /// Exits.
    pub(crate) fn now(&self, why: &str) {
        tracing::error!("this member cannot go on: {why}");
        (self.0)(why);
    }
}
