//! Pods that wait for a node.
//!
//! A pod is active (to be tried, by priority, then by arrival), backing off after a failure, unschedulable until
//! something changes that could help, or in flight: placed by us, its binding not confirmed yet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft_state::Revision;

use super::pod::Pod;

const SECOND_US: i64 = 1_000_000;
/// The first back-off; it doubles with every failure.
const BACKOFF_FIRST_US: i64 = SECOND_US;
/// The longest back-off.
const BACKOFF_LIMIT_US: i64 = 10 * SECOND_US;
/// An unschedulable pod is tried again after this time, whatever happened.
const UNSCHEDULABLE_LIMIT_US: i64 = 300 * SECOND_US;

/// A waiting pod.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Revision of the version that was read: what a binding is conditional on.
    pub at: Revision,
    /// Revision of its creation: the order of arrival, the same for every leader.
    pub created: Revision,
    /// Failures so far.
    pub attempts: u32,
    /// Where victims make room for it.
    pub nominated: Option<String>,
    retry_at_us: i64,
    /// Another pod's placement could help: it failed by affinity or spreading.
    follows_pods: bool,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active,
    Backoff { until_us: i64 },
    Unschedulable { since_us: i64 },
    InFlight,
}

/// How many pods wait, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// To be tried next.
    pub active: usize,
    /// Tried again after a pause.
    pub backoff: usize,
    /// Tried again when something changes that could help.
    pub unschedulable: usize,
    /// Placed by us, the binding not confirmed yet.
    pub in_flight: usize,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    pods: BTreeMap<String, Waiting>,
    active: BTreeSet<(Reverse<i32>, Revision, String)>,
    backoff: BTreeSet<(i64, String)>,
    unschedulable: BTreeSet<(i64, String)>,
}

impl Queue {
    /// Learns of a waiting pod, or of a new version of one. A change of what matters makes it active again.
    pub fn put(&mut self, pod: Arc<Pod>, at: Revision, created: Revision) {
        let Some(known) = self.pods.get_mut(&pod.uid) else {
            let uid = pod.uid.clone();
            let place = Place::Active;
            let (attempts, nominated, retry_at_us, follows_pods) = (0, None, 0, false);
            self.pods.insert(
                uid.clone(),
                Waiting { pod, at, created, attempts, nominated, retry_at_us, follows_pods, place },
            );
            return self.settle(&uid, place);
        };
        known.at = at;
        if known.pod == pod {
            return;
        }
        let (uid, place) = (pod.uid.clone(), known.place);
        self.lift(&uid);
        if let Some(known) = self.pods.get_mut(&uid) {
            known.pod = pod;
        }
        let place = match place {
            Place::Unschedulable { .. } => self.after_backoff(&uid),
            other => other,
        };
        self.settle(&uid, place);
    }

    /// Forgets a pod.
    pub fn remove(&mut self, uid: &str) -> Option<Waiting> {
        self.lift(uid);
        self.pods.remove(uid)
    }

    /// A waiting pod.
    pub fn get(&self, uid: &str) -> Option<&Waiting> {
        self.pods.get(uid)
    }

    /// How long it is.
    pub fn depths(&self) -> Depths {
        let (active, backoff, unschedulable) = (self.active.len(), self.backoff.len(), self.unschedulable.len());
        let in_flight = self.pods.len().saturating_sub(active + backoff + unschedulable);
        Depths { active, backoff, unschedulable, in_flight }
    }

    /// Takes the next pod to be tried; it is in flight until told otherwise.
    pub fn pop(&mut self) -> Option<Waiting> {
        let (_, _, uid) = self.active.pop_first()?;
        let waiting = self.pods.get_mut(&uid)?;
        waiting.place = Place::InFlight;
        Some(waiting.clone())
    }

    /// No node suits the pod now.
    pub fn failed(&mut self, uid: &str, now_us: i64, follows_pods: bool, nominated: Option<String>) {
        let Some(waiting) = self.pods.get_mut(uid) else { return };
        waiting.attempts = waiting.attempts.saturating_add(1);
        waiting.retry_at_us = now_us + backoff_us(waiting.attempts);
        waiting.follows_pods = follows_pods;
        waiting.nominated = nominated;
        self.lift(uid);
        self.settle(uid, Place::Unschedulable { since_us: now_us });
    }

    /// The binding of a pod in flight was refused: it is tried again after a back-off.
    pub fn refused(&mut self, uid: &str, now_us: i64) {
        let Some(waiting) = self.pods.get_mut(uid) else { return };
        waiting.attempts = waiting.attempts.saturating_add(1);
        waiting.retry_at_us = now_us + backoff_us(waiting.attempts);
        let place = self.after_backoff(uid);
        self.lift(uid);
        self.settle(uid, place);
    }

    /// A node came or changed, or a pod left: everyone unschedulable may have a chance. A placed pod gives one only to
    /// those that follow others.
    pub fn stir(&mut self, only_followers: bool) {
        let stirred: Vec<String> = self
            .unschedulable
            .iter()
            .filter(|(_, uid)| !only_followers || self.pods.get(uid).is_some_and(|w| w.follows_pods))
            .map(|(_, uid)| uid.clone())
            .collect();
        for uid in stirred {
            self.lift(&uid);
            let place = self.after_backoff(&uid);
            self.settle(&uid, place);
        }
    }

    /// Makes active whose time has come.
    pub fn advance(&mut self, now_us: i64) {
        while let Some((until_us, uid)) = self.backoff.first().cloned()
            && until_us <= now_us
        {
            self.lift(&uid);
            self.settle(&uid, Place::Active);
        }
        while let Some((since_us, uid)) = self.unschedulable.first().cloned()
            && since_us + UNSCHEDULABLE_LIMIT_US <= now_us
        {
            self.lift(&uid);
            self.settle(&uid, Place::Active);
        }
    }

    /// When [`Queue::advance`] has something to do, or a pod is active (a time long past).
    pub fn next_wake(&self) -> Option<i64> {
        if !self.active.is_empty() {
            return Some(0);
        }
        let backoff = self.backoff.first().map(|(until_us, _)| *until_us);
        let unschedulable = self.unschedulable.first().map(|(since_us, _)| since_us + UNSCHEDULABLE_LIMIT_US);
        backoff.into_iter().chain(unschedulable).min()
    }

    /// A pod that never failed goes on at once, without waiting for the clock.
    fn after_backoff(&self, uid: &str) -> Place {
        match self.pods.get(uid) {
            Some(waiting) if waiting.attempts > 0 => Place::Backoff { until_us: waiting.retry_at_us },
            _ => Place::Active,
        }
    }

    fn lift(&mut self, uid: &str) {
        let Some(waiting) = self.pods.get(uid) else { return };
        match waiting.place {
            Place::Active => self.active.remove(&active_key(waiting)),
            Place::Backoff { until_us } => self.backoff.remove(&(until_us, uid.to_owned())),
            Place::Unschedulable { since_us } => self.unschedulable.remove(&(since_us, uid.to_owned())),
            Place::InFlight => false,
        };
    }

    fn settle(&mut self, uid: &str, place: Place) {
        let Some(waiting) = self.pods.get_mut(uid) else { return };
        waiting.place = place;
        match place {
            Place::Active => self.active.insert(active_key(waiting)),
            Place::Backoff { until_us } => self.backoff.insert((until_us, uid.to_owned())),
            Place::Unschedulable { since_us } => self.unschedulable.insert((since_us, uid.to_owned())),
            Place::InFlight => false,
        };
    }
}

fn active_key(waiting: &Waiting) -> (Reverse<i32>, Revision, String) {
    (Reverse(waiting.pod.priority), waiting.created, waiting.pod.uid.clone())
}

fn backoff_us(attempts: u32) -> i64 {
    let doublings = attempts.saturating_sub(1).min(10);
    (BACKOFF_FIRST_US << doublings).min(BACKOFF_LIMIT_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, priority: i32) -> Arc<Pod> {
        Arc::new(Pod { uid: uid.to_owned(), priority, ..Pod::default() })
    }

    #[test]
    fn the_highest_priority_goes_first_then_the_oldest() {
        let mut queue = Queue::default();
        for (uid, priority, created) in [("late", 0, 3), ("early", 0, 1), ("high", 5, 9)] {
            queue.put(pod(uid, priority), created, created);
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.pop()).map(|w| w.pod.uid.clone()).collect();
        assert_eq!(order, ["high", "early", "late"]);
    }

    #[test]
    fn a_failed_pod_waits_for_help_and_for_its_backoff() {
        let mut queue = Queue::default();
        queue.put(pod("a", 0), 1, 1);
        for (now_us, expected) in [(0, 1), (20, 2), (60, 4), (100, 8), (200, 10), (300, 10)] {
            let now_us = now_us * SECOND_US;
            queue.advance(now_us);
            assert_eq!(queue.depths(), Depths { active: 1, ..Depths::default() });
            queue.pop().expect("active");
            assert_eq!(queue.depths(), Depths { in_flight: 1, ..Depths::default() });
            queue.failed("a", now_us, false, None);
            assert_eq!(queue.next_wake(), Some(now_us + UNSCHEDULABLE_LIMIT_US));
            queue.stir(true);
            assert_eq!(queue.next_wake(), Some(now_us + UNSCHEDULABLE_LIMIT_US), "a placed pod is no help");
            queue.stir(false);
            assert_eq!(queue.next_wake(), Some(now_us + expected * SECOND_US));
        }
    }

    #[test]
    fn an_unschedulable_pod_is_tried_again_after_five_minutes() {
        let mut queue = Queue::default();
        queue.put(pod("a", 0), 1, 1);
        queue.pop().expect("active");
        queue.failed("a", 0, false, None);
        queue.advance(UNSCHEDULABLE_LIMIT_US - 1);
        assert!(queue.pop().is_none());
        queue.advance(UNSCHEDULABLE_LIMIT_US);
        assert!(queue.pop().is_some());
    }
}
