//! The world as the manager needs it: a port, so that the simulator can take its place.

use std::time::{Duration, Instant};

use raft_state::port::BoxFuture;

/// Tasks and time.
pub trait Runtime: Send + Sync + 'static {
    /// Runs a future beside the caller.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Waits.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// The wall clock, microseconds since the epoch.
    fn now_us(&self) -> i64;

    /// The clock of deadlines.
    fn now(&self) -> Instant;
}
