//! What all parts of a round have in common.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::history::Recorder;
use crate::nemeses::Faults;
use crate::samples::Samples;
use crate::stalls::Stalls;
use crate::timeline::Timeline;

/// The namespace that workloads use.
pub const NAMESPACE: &str = "chaos";

/// A round's cluster, and the notes taken of it.
pub struct World {
    /// Under test.
    pub cluster: Cluster,
    /// Calls.
    pub recorder: Recorder,
    /// Requests.
    pub samples: Samples,
    /// What was done to the cluster.
    pub faults: Faults,
    /// Who led when.
    pub timeline: Timeline,
    /// Masters that ended by themselves: when, who, how.
    pub deaths: Mutex<Vec<(Duration, usize, String)>>,
    /// When this machine did not run us.
    pub stalls: Arc<Stalls>,
    /// The revision at which the workloads' namespace was made.
    pub origin: u64,
    /// Fixes all choices.
    pub seed: u64,
    /// Turns true when clients shall end.
    pub stop: watch::Receiver<bool>,
}

impl World {
    /// Choices of one client: the same for the same seed and name.
    pub fn choices(&self, who: &str) -> StdRng {
        choices(self.seed, who)
    }

    /// Whether clients shall end.
    pub fn is_over(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits, but not beyond the end.
    pub async fn pause(&self, length: Duration) {
        let mut stop = self.stop.clone();
        let _ = tokio::time::timeout(length, stop.wait_for(|stop| *stop)).await;
    }
}

/// Choices that depend on a seed and a name.
pub fn choices(seed: u64, who: &str) -> StdRng {
    let mut mixed = seed ^ 0x9e37_79b9_7f4a_7c15;
    for byte in who.bytes() {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    StdRng::seed_from_u64(mixed)
}
