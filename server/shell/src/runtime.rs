//! The manager's world: tokio and the machine's clocks.

use std::time::{Duration, Instant};

use raft_state::port::BoxFuture;
use server_manager::Runtime;

/// See the module.
pub struct Tokio;

impl Runtime for Tokio {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn now_us(&self) -> i64 {
        crate::clock::now_us()
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}
