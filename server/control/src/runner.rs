//! Which controller looks at which key, and when: the pure half of the controller manager.
//!
//! A key is looked at by one controller at a time, and only when the view holds that controller's own writes to it, and those
//! of others that it counts on ([`Controller::after`]): so no decision is made on a state that the decision before has already
//! changed, and there is no cache of expectations.

use std::collections::{BTreeMap, BTreeSet};

use raft_state::{Event, Revision, Snapshot};

use crate::controller::{Change, Controller, Key};
use crate::controllers::ALL;
use crate::view::Ref;
use crate::{Moment, Now, Plan, Sight, View};

/// First pause after a failure; doubled each time.
const BACKOFF_MIN_US: i64 = 5_000;
/// Longest pause.
const BACKOFF_MAX_US: i64 = 60_000_000;

/// Objects looked at, and keys passed over, in one call at most: the scheduler's turn comes in between.
const PAGE: usize = 1024;

/// A controller (by its row in [`ALL`]) and a key.
type Item = (usize, Key);

/// A plan to carry out.
pub struct Work {
    /// Whose.
    pub controller: &'static Controller,
    /// Row of the controller.
    pub row: usize,
    /// About what.
    pub key: Key,
    /// What to do.
    pub plan: Plan,
}

/// What came of carrying a plan out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The highest revision that its writes took.
    pub revision: Revision,
    /// Whether something failed or met a conflict.
    pub failed: bool,
}

/// How long one controller's queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// The controller.
    pub name: &'static str,
    /// Keys to be looked at.
    pub ready: usize,
    /// Keys whose plans are being carried out.
    pub in_flight: usize,
    /// Keys that a timer wakes.
    pub timed: usize,
    /// Keys whose last plan failed.
    pub failing: usize,
    /// Keys looked at since the depths were asked for last.
    pub looked_since: u64,
}

/// The queue of all controllers over one view.
pub struct Runner {
    view: View,
    ready: BTreeSet<Item>,
    /// In the hands of the shell.
    in_flight: BTreeSet<Item>,
    /// To be looked at once the plan about another key is carried out, by that key.
    behind: BTreeMap<Item, BTreeSet<Item>>,
    /// Not before the view holds this revision.
    awaiting: BTreeMap<Item, Revision>,
    /// By the steady clock: a wall clock that jumps neither wakes a key early nor lets it sleep.
    timers: BTreeSet<(i64, Item)>,
    failures: BTreeMap<Item, u32>,
    sights: BTreeMap<Item, Sight>,
    /// Keys looked at by each controller since the depths were asked for last.
    looked: Vec<u64>,
    first_look: FirstLook,
    /// The last call ended before it had passed over everything.
    is_cut_short: bool,
}

/// How far a new manager's first look at everything has come.
enum FirstLook {
    Beginning,
    Behind(Ref),
    Done,
}

impl Runner {
    /// Begins over a view: everything is looked at once, a page with each call of [`Runner::next`].
    pub fn new(view: View) -> Self {
        Self {
            view,
            ready: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            behind: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            timers: BTreeSet::new(),
            failures: BTreeMap::new(),
            sights: BTreeMap::new(),
            looked: vec![0; ALL.len()],
            first_look: FirstLook::Beginning,
            is_cut_short: false,
        }
    }

    /// Whether [`Runner::next`] has more to go through, though it had nothing to give: call it again soon.
    pub fn is_busy(&self) -> bool {
        self.is_cut_short || !matches!(self.first_look, FirstLook::Done)
    }

    /// Looks at the next page of what was there when the term began. What changes meanwhile comes as events besides.
    fn look_further(&mut self) {
        let after = match &self.first_look {
            FirstLook::Beginning => None,
            FirstLook::Behind(place) => Some(place),
            FirstLook::Done => return,
        };
        let page = self.view.page(after, PAGE);
        for (_, change) in &page {
            self.wake_for(change);
        }
        self.first_look = match page.into_iter().next_back() {
            Some((place, _)) => FirstLook::Behind(place),
            None => FirstLook::Done,
        };
    }

    /// The view.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Takes an event in.
    pub fn on_event(&mut self, event: &Event) {
        if let Some(change) = self.view.apply(event) {
            self.wake_for(&change);
        }
    }

    /// Everything up to a revision has been taken in; the snapshot holds it.
    pub fn advance(&mut self, revision: Revision, snapshot: Snapshot) {
        self.view.advance(revision, snapshot);
    }

    fn wake_for(&mut self, change: &Change) {
        for (row, controller) in ALL.iter().enumerate() {
            for key in (controller.wakes)(&self.view, change) {
                self.wake((row, key));
            }
        }
    }

    fn wake(&mut self, item: Item) {
        if !self.in_flight.contains(&item) {
            self.ready.insert(item);
        }
    }

    /// The next plan that has something to do. Keys about which there is nothing to do are passed over, so many in a call.
    pub fn next(&mut self, now: Moment) -> Option<Work> {
        self.look_further();
        while let Some((at, item)) = self.timers.first().cloned() {
            if at > now.steady_us {
                break;
            }
            self.timers.remove(&(at, item.clone()));
            self.wake(item);
        }
        let mut passed: Vec<Item> = Vec::new();
        let mut found = None;
        self.is_cut_short = false;
        for turn in 0.. {
            if turn == PAGE {
                self.is_cut_short = true;
                break;
            }
            let Some(item) = self.ready.pop_first() else { break };
            if self.is_unseen(&item) {
                passed.push(item);
                continue;
            }
            self.awaiting.remove(&item);
            let controller = ALL[item.0];
            let before = self.before(controller, &item.1);
            if let Some(other) = before.iter().find(|other| self.in_flight.contains(other)) {
                self.behind.entry(other.clone()).or_default().insert(item);
                continue;
            }
            if before.iter().any(|other| self.is_unseen(other)) {
                passed.push(item);
                continue;
            }
            self.looked[item.0] += 1;
            let plan = self.look(controller, &item, now);
            if let Some(at) = plan.again_at_us {
                self.timers.insert((now.steady_at(at).max(now.steady_us + 1000), item.clone()));
            }
            if plan.intents.is_empty() {
                self.failures.remove(&item);
                continue;
            }
            self.in_flight.insert(item.clone());
            found = Some(Work { controller, row: item.0, key: item.1, plan });
            break;
        }
        self.ready.extend(passed);
        found
    }

    /// Whether the view lacks what was written about a key.
    fn is_unseen(&self, item: &Item) -> bool {
        self.awaiting.get(item).is_some_and(|revision| *revision > self.view.revision())
    }

    /// What a key waits for.
    fn before(&self, controller: &Controller, key: &Key) -> Vec<Item> {
        let row = |other: &'static Controller| ALL.iter().position(|row| std::ptr::eq(*row, other));
        let others = (controller.after)(&self.view, key).into_iter();
        others.filter_map(|(other, key)| Some((row(other)?, key))).collect()
    }

    /// Asks a controller about a key, and keeps what it saw of it.
    fn look(&mut self, controller: &Controller, item: &Item, now: Moment) -> Plan {
        let last = self.sights.remove(item);
        let now = Now { wall_us: now.wall_us, steady_us: now.steady_us, last };
        let mut plan = (controller.reconcile)(&self.view, &item.1, &now);
        if let Some(sight) = plan.sight.take() {
            self.sights.insert(item.clone(), sight);
        }
        plan
    }

    /// What became of a plan, and when by the steady clock.
    pub fn done(&mut self, row: usize, key: Key, done: Done, steady_us: i64) {
        let item = (row, key);
        self.in_flight.remove(&item);
        self.ready.extend(self.behind.remove(&item).unwrap_or_default());
        if done.revision > self.view.revision() {
            self.awaiting.insert(item.clone(), done.revision);
        }
        if done.failed {
            let failures = self.failures.entry(item.clone()).or_insert(0);
            let pause = (BACKOFF_MIN_US << (*failures).min(20)).min(BACKOFF_MAX_US);
            *failures += 1;
            self.timers.insert((steady_us + pause, item));
        } else {
            self.failures.remove(&item);
            // A plan may be the first of several steps, and something may have happened meanwhile: look again.
            self.ready.insert(item);
        }
    }

    /// How long the queues are, one row a controller. Counts every key that waits.
    pub fn depths(&mut self) -> Vec<Depth> {
        let mut depths: Vec<Depth> =
            ALL.iter().map(|controller| Depth { name: controller.name, ..Depth::default() }).collect();
        for (row, looked) in self.looked.iter_mut().enumerate() {
            depths[row].looked_since = std::mem::take(looked);
        }
        self.ready.iter().chain(self.behind.values().flatten()).for_each(|(row, _)| depths[*row].ready += 1);
        self.in_flight.iter().for_each(|(row, _)| depths[*row].in_flight += 1);
        self.timers.iter().for_each(|(_, (row, _))| depths[*row].timed += 1);
        self.failures.keys().for_each(|(row, _)| depths[*row].failing += 1);
        depths
    }

    /// When to ask again by the steady clock, if nothing happens before.
    pub fn next_timer_us(&self) -> Option<i64> {
        self.timers.first().map(|(at, _)| *at)
    }
}
