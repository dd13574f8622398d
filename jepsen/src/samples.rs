//! Every request as traffic: which master, how long, whether it was served. For latency, throughput and availability.

use std::time::Duration;

use parking_lot::Mutex;

/// One request, whatever it was about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Index of the master asked.
    pub master: usize,
    /// Since the beginning of the round.
    pub begun: Duration,
    /// Since the beginning of the round.
    pub ended: Duration,
    /// Whether there was an answer that settles the request: a success, or a refusal for the client's own reasons.
    pub served: bool,
    /// Whether it changes anything.
    pub write: bool,
    /// Whether it changes whatever version is there: the master makes it anew each time another change has come first, so
    /// that it may take longer the more rivals there are.
    pub contends: bool,
}

/// All requests of a round.
#[derive(Default)]
pub struct Samples(Mutex<Vec<Sample>>);

impl Samples {
    /// Adds one.
    pub fn push(&self, sample: Sample) {
        self.0.lock().push(sample);
    }

    /// All of them, by the time at which they ended.
    pub fn all(&self) -> Vec<Sample> {
        let mut all = self.0.lock().clone();
        all.sort_by_key(|sample| sample.ended);
        all
    }
}
