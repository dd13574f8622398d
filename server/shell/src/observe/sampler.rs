//! Takes a sample a second of what a member counts, and notes who leads.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use raft_node::{Histogram, Node};
use raft_state::port::{Standing, Store};
use tokio::sync::watch;

use super::history::{Change, History, Sample};
use super::process;

const EVERY: Duration = Duration::from_secs(1);

fn now_ms() -> i64 {
    crate::clock::now_us() / 1000
}

/// Samples for as long as the three live.
pub(super) async fn run(node: Weak<Node>, requests: Weak<api_rest::Metrics>, history: Weak<History>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<(Instant, Counted)> = None;
    loop {
        ticks.tick().await;
        let (Some(node), Some(requests), Some(history)) = (node.upgrade(), requests.upgrade(), history.upgrade())
        else {
            return;
        };
        let counted = Counted::now(&node, &requests);
        if let Some((at, earlier)) = &before {
            history.sample(sample(&node, &requests, at.elapsed(), earlier, &counted));
        }
        before = Some((Instant::now(), counted));
    }
}

/// Notes changes of leader for as long as the member and the history live.
pub(super) async fn follow(mut standing: watch::Receiver<Standing>, history: Weak<History>) {
    loop {
        let change = {
            let standing = standing.borrow_and_update();
            Change { at_ms: now_ms(), term: standing.term, leader: standing.leader.unwrap_or(0) }
        };
        match history.upgrade() {
            Some(history) => history.change(change),
            None => return,
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}

/// Counters at one moment.
struct Counted {
    fsync: Vec<(u64, u64)>,
    commit: Vec<(u64, u64)>,
    propose: Vec<(u64, u64)>,
    entries: u64,
    requests: u64,
    failed: u64,
    usage: process::Usage,
}

impl Counted {
    fn now(node: &Node, requests: &api_rest::Metrics) -> Self {
        let metrics = node.metrics();
        let buckets = |histogram: &Histogram| histogram.buckets();
        Self {
            fsync: buckets(&metrics.fsync_us),
            commit: buckets(&metrics.commit_us),
            propose: buckets(&metrics.propose_us),
            entries: metrics.applied_entries.load(Ordering::Relaxed),
            requests: requests.answered(),
            failed: requests.failed(),
            usage: process::usage(),
        }
    }
}

fn sample(node: &Node, requests: &api_rest::Metrics, took: Duration, before: &Counted, after: &Counted) -> Sample {
    let (progress, standing) = (node.progress(), node.standing().borrow().clone());
    let per_second = |before: u64, after: u64| after.saturating_sub(before) as f64 / took.as_secs_f64();
    Sample {
        at_ms: now_ms(),
        term: progress.term,
        leader: standing.leader.unwrap_or(0),
        last_index: progress.last_index,
        applied_index: progress.applied_index,
        lag: node.metrics().replication_lag(),
        entries_per_s: per_second(before.entries, after.entries),
        requests_per_s: per_second(before.requests, after.requests),
        failed_per_s: per_second(before.failed, after.failed),
        fsync_p50_us: quantile(&before.fsync, &after.fsync, 0.5),
        fsync_p99_us: quantile(&before.fsync, &after.fsync, 0.99),
        commit_p50_us: quantile(&before.commit, &after.commit, 0.5),
        commit_p99_us: quantile(&before.commit, &after.commit, 0.99),
        propose_p99_us: quantile(&before.propose, &after.propose, 0.99),
        watches: requests.watches_open(),
        resident_bytes: after.usage.resident_bytes,
        cpu: (after.usage.cpu_seconds - before.usage.cpu_seconds) / took.as_secs_f64(),
    }
}

/// The bound below which this share of what was counted between two moments lies; 0 when nothing was.
fn quantile(before: &[(u64, u64)], after: &[(u64, u64)], share: f64) -> u64 {
    let new: Vec<(u64, u64)> =
        before.iter().zip(after).map(|((_, before), (bound, after))| (*bound, after.saturating_sub(*before))).collect();
    let total: u64 = new.iter().map(|(_, count)| count).sum();
    let wanted = (total as f64 * share).ceil() as u64;
    let mut seen = 0;
    new.into_iter()
        .find_map(|(bound, count)| {
            seen += count;
            (wanted > 0 && seen >= wanted).then_some(bound)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_came_in_between() {
        let check = |before: [u64; 3], after: [u64; 3], share: f64, expected: u64| {
            let with_bounds = |counts: [u64; 3]| [1, 2, 4].into_iter().zip(counts).collect::<Vec<_>>();
            assert_eq!(quantile(&with_bounds(before), &with_bounds(after), share), expected, "{before:?} {after:?}");
        };
        check([5, 0, 0], [5, 0, 0], 0.5, 0);
        check([5, 0, 0], [6, 0, 0], 0.5, 1);
        check([5, 0, 0], [5, 0, 3], 0.5, 4);
        check([0, 0, 0], [98, 1, 1], 0.99, 2);
        check([0, 0, 0], [98, 1, 1], 1.0, 4);
    }
}
