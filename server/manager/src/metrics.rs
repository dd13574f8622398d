//! What the manager counts. The names are those of Kubernetes' controller manager and scheduler where they have one for
//! the same thing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use server_control::runner::Depth;
use server_control::scheduler::Depths;

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queued {
    name: &'static str,
    state: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueuedPods {
    queue: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempted {
    result: &'static str,
    profile: &'static str,
}

/// What the manager does just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The epoch of the term that is served; `None` between terms.
    pub epoch: Option<u64>,
    /// The controllers' queues.
    pub controllers: Vec<Depth>,
    /// The scheduler's queues.
    pub scheduler: Depths,
    /// Pods bound since the process started.
    pub bound: u64,
}

/// Counters of one process, over all its terms.
#[derive(Debug)]
pub struct Metrics {
    in_office: Gauge,
    terms: Counter,
    queues: Family<Queued, Gauge>,
    looked: Family<Named, Counter>,
    retries: Family<Named, Counter>,
    decide: Histogram,
    work: Family<Named, Histogram, fn() -> Histogram>,
    pods: Family<QueuedPods, Gauge>,
    attempts: Family<Attempted, Counter>,
    schedule: Histogram,
    bind: Histogram,
    victims: Counter,
    bound: AtomicU64,
    now: Mutex<Now>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            in_office: Gauge::default(),
            terms: Counter::default(),
            queues: Family::default(),
            looked: Family::default(),
            retries: Family::default(),
            decide: seconds(),
            work: Family::new_with_constructor(seconds),
            pods: Family::default(),
            attempts: Family::default(),
            schedule: seconds(),
            bind: seconds(),
            victims: Counter::default(),
            bound: AtomicU64::new(0),
            now: Mutex::default(),
        }
    }
}

impl Metrics {
    /// Has them served by a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("trireme_manager_in_office", "Whether the manager runs here", self.in_office.clone());
        registry.register("trireme_manager_terms", "Terms of office begun here", self.terms.clone());
        registry.register("workqueue_depth", "Keys of a controller by what they wait for", self.queues.clone());
        registry.register("workqueue_looks", "Keys that a controller has looked at", self.looked.clone());
        registry.register("workqueue_retries", "Plans that failed and are tried again", self.retries.clone());
        registry.register("trireme_manager_decide_seconds", "Finding the next plan", self.decide.clone());
        registry.register("workqueue_work_duration_seconds", "Carrying out a plan", self.work.clone());
        registry.register("scheduler_pending_pods", "Pods without a node, by queue", self.pods.clone());
        registry.register("scheduler_schedule_attempts", "Pods tried, by what came of it", self.attempts.clone());
        registry.register("scheduler_batch_duration_seconds", "Deciding on a batch of pods", self.schedule.clone());
        registry.register("scheduler_binding_duration_seconds", "Binding a pod", self.bind.clone());
        registry.register("scheduler_preemption_victims", "Pods evicted for others", self.victims.clone());
    }

    /// What the manager does just now, some tenths of a second old.
    pub fn now(&self) -> Now {
        Now { bound: self.bound.load(Ordering::Relaxed), ..self.now.lock().clone() }
    }

    pub(crate) fn term_begins(&self, epoch: u64) {
        self.in_office.set(1);
        self.terms.inc();
        self.now.lock().epoch = Some(epoch);
    }

    /// The queues were those of the term.
    pub(crate) fn term_ends(&self) {
        self.in_office.set(0);
        self.queues.clear();
        self.pods.clear();
        *self.now.lock() = Now::default();
    }

    pub(crate) fn decided(&self, took: Duration) {
        self.decide.observe(took.as_secs_f64());
    }

    pub(crate) fn worked(&self, name: &'static str, took: Duration, failed: bool) {
        self.work.get_or_create(&Named { name }).observe(took.as_secs_f64());
        if failed {
            self.retries.get_or_create(&Named { name }).inc();
        }
    }

    /// A batch was decided on: so many fit nowhere, so many leave for others.
    pub(crate) fn scheduled(&self, took: Duration, unschedulable: usize, victims: usize) {
        self.schedule.observe(took.as_secs_f64());
        self.attempts.get_or_create(&attempted("unschedulable")).inc_by(unschedulable as u64);
        self.victims.inc_by(victims as u64);
    }

    pub(crate) fn bound(&self, took: Duration, ok: bool) {
        self.bind.observe(took.as_secs_f64());
        self.attempts.get_or_create(&attempted(if ok { "scheduled" } else { "error" })).inc();
        self.bound.fetch_add(u64::from(ok), Ordering::Relaxed);
    }

    /// How long the queues are.
    pub(crate) fn queues(&self, controllers: Vec<Depth>, scheduler: Depths) {
        for depth in &controllers {
            let name = depth.name;
            let set = |state, count: usize| {
                self.queues.get_or_create(&Queued { name, state }).set(i64::try_from(count).unwrap_or(i64::MAX));
            };
            set("ready", depth.ready);
            set("in_flight", depth.in_flight);
            set("timed", depth.timed);
            set("failing", depth.failing);
            self.looked.get_or_create(&Named { name }).inc_by(depth.looked_since);
        }
        let states = [
            ("active", scheduler.active),
            ("backoff", scheduler.backoff),
            ("unschedulable", scheduler.unschedulable),
            ("in_flight", scheduler.in_flight),
        ];
        for (queue, count) in states {
            self.pods.get_or_create(&QueuedPods { queue }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut now = self.now.lock();
        now.controllers = controllers;
        now.scheduler = scheduler;
    }
}

fn attempted(result: &'static str) -> Attempted {
    Attempted { result, profile: "default-scheduler" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_term_leaves_behind_is_not_shown_after_it() {
        let metrics = Metrics::default();
        metrics.term_begins(7);
        let depth = Depth { name: "job", ready: 3, looked_since: 5, ..Depth::default() };
        metrics.queues(vec![depth], Depths { active: 2, ..Depths::default() });
        assert_eq!(metrics.now().epoch, Some(7));
        metrics.term_ends();
        assert_eq!(metrics.now(), Now::default());
        assert_eq!(metrics.looked.get_or_create(&Named { name: "job" }).get(), 5, "what was done stays counted");
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(!text.contains("state=\"ready\""), "{text}");
        assert!(text.contains("trireme_manager_in_office 0"), "{text}");
    }
}
