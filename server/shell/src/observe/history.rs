//! What a member looked like over the last quarter of an hour: a sample a second, and every change of leader.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Observed;

/// Where it is served.
pub const PATH: &str = "/trireme/history";

/// Samples kept.
const SAMPLES_MAX: usize = 900;
/// Changes of leader kept.
const CHANGES_MAX: usize = 64;

/// A member within one second. Durations are microseconds, rates per second; quantiles are 0 when nothing happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// Raft term.
    pub term: u64,
    /// The leader's id; 0 when none is known.
    pub leader: u64,
    /// Last entry of the log.
    pub last_index: u64,
    /// Last entry applied.
    pub applied_index: u64,
    /// At the leader: log entries that each peer lacks, by id.
    pub lag: BTreeMap<u64, u64>,
    /// Entries applied.
    pub entries_per_s: f64,
    /// Requests answered.
    pub requests_per_s: f64,
    /// Requests answered with a 5xx.
    pub failed_per_s: f64,
    /// Half of the log's syncs were faster.
    pub fsync_p50_us: u64,
    /// 99 % of the log's syncs were faster.
    pub fsync_p99_us: u64,
    /// At the leader: half of the commits were faster.
    pub commit_p50_us: u64,
    /// At the leader: 99 % of the commits were faster.
    pub commit_p99_us: u64,
    /// 99 % of the proposals made here had their outcome sooner.
    pub propose_p99_us: u64,
    /// Watches open here.
    pub watches: u64,
    /// Memory in use.
    pub resident_bytes: u64,
    /// Processor time used within the second.
    pub cpu: f64,
}

/// This member saw another leader, or lost the one it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Change {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// Raft term.
    pub term: u64,
    /// The leader's id; 0 when none is known.
    pub leader: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct History {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    samples: VecDeque<Sample>,
    changes: VecDeque<Change>,
}

/// What [`PATH`] answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// The member's id.
    pub id: u64,
    /// Oldest first.
    pub samples: Vec<Sample>,
    /// Oldest first.
    pub changes: Vec<Change>,
}

impl History {
    pub(super) fn sample(&self, sample: Sample) {
        let samples = &mut self.inner.lock().samples;
        samples.push_back(sample);
        if samples.len() > SAMPLES_MAX {
            samples.pop_front();
        }
    }

    pub(super) fn change(&self, change: Change) {
        let changes = &mut self.inner.lock().changes;
        if changes.back().is_some_and(|last| (last.term, last.leader) == (change.term, change.leader)) {
            return;
        }
        changes.push_back(change);
        if changes.len() > CHANGES_MAX {
            changes.pop_front();
        }
    }

    /// The latest sample.
    pub fn latest(&self) -> Sample {
        self.inner.lock().samples.back().cloned().unwrap_or_default()
    }

    /// What came after a moment.
    pub fn since(&self, id: u64, after_ms: i64) -> Answer {
        let inner = self.inner.lock();
        Answer {
            id,
            samples: inner.samples.iter().filter(|sample| sample.at_ms > after_ms).cloned().collect(),
            changes: inner.changes.iter().filter(|change| change.at_ms > after_ms).copied().collect(),
        }
    }
}

/// What may be asked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    after_ms: i64,
}

/// Serves this member's history.
pub(super) async fn serve(State(observed): State<Arc<Observed>>, Query(asked): Query<Asked>) -> Json<Answer> {
    Json(observed.history.since(observed.node.id(), asked.after_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_the_same_leader_is_no_change() {
        let history = History::default();
        for at_ms in 0..1000 {
            history.sample(Sample { at_ms, ..Sample::default() });
        }
        for (at_ms, leader) in [(1, 0), (2, 3), (3, 3), (4, 2)] {
            history.change(Change { at_ms, term: 1, leader });
        }
        let all = history.since(1, -1);
        assert_eq!((all.samples.len(), all.samples[0].at_ms), (SAMPLES_MAX, 100));
        assert_eq!(all.changes.iter().map(|change| change.leader).collect::<Vec<_>>(), [0, 3, 2]);
        assert_eq!(history.since(1, 997).samples.len(), 2);
    }
}
