//! The search for a linearization: Wing and Gong's, with Lowe's cache of configurations that led nowhere.
//!
//! Sources: J. M. Wing, C. Gong, "Testing and verifying concurrent objects" (1993); G. Lowe, "Testing for
//! linearizability" (2017); A. Athalye's porcupine, whose doubly linked list of calls and returns this follows.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What an object does.
pub trait Model {
    /// The object's.
    type State: Clone + Eq + Hash;
    /// A call with what is known of its result.
    type Action;

    /// At first.
    fn initial() -> Self::State;

    /// The state after an action, or `None` when it cannot have had this result in this state. An action of unknown
    /// result that took effect always has a state after it.
    fn step(state: &Self::State, action: &Self::Action) -> Option<Self::State>;
}

/// A call in time.
#[derive(Clone, Debug)]
pub struct Interval<A> {
    /// Not before.
    pub begun: Duration,
    /// Not after; `None` when it may happen at any later time, or never.
    pub ended: Option<Duration>,
    /// What.
    pub action: A,
}

/// What the search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A linearization.
    Order,
    /// That there is none.
    None,
    /// Nothing, before the deadline.
    OutOfTime,
}

/// Looks at the clock every so many steps.
const STEPS_PER_LOOK: u32 = 4096;

/// An end of the list, or nobody.
const NOBODY: usize = usize::MAX;

/// Calls and returns in order of time, doubly linked, so that a call can be lifted out and put back.
struct Line {
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Of each entry: which call, and whether it is its return.
    entries: Vec<(usize, bool)>,
    /// Of each call: its return's entry.
    returns: Vec<usize>,
}

/// The entry before the first.
const HEAD: usize = 0;

impl Line {
    fn new<A>(calls: &[Interval<A>]) -> Self {
        let mut events: Vec<(Duration, bool, usize)> = Vec::new();
        for (call, interval) in calls.iter().enumerate() {
            events.push((interval.begun, false, call));
            if let Some(ended) = interval.ended {
                events.push((ended, true, call));
            }
        }
        // Calls before returns at the same moment: they overlap.
        events.sort_by_key(|(at, is_return, call)| (*at, *is_return, *call));
        let mut entries = vec![(NOBODY, false)];
        entries.extend(events.iter().map(|(_, is_return, call)| (*call, *is_return)));
        let mut returns = vec![NOBODY; calls.len()];
        for (place, (call, is_return)) in entries.iter().enumerate() {
            if *is_return {
                returns[*call] = place;
            }
        }
        let count = entries.len();
        let next = (1..=count).map(|place| if place == count { NOBODY } else { place }).collect();
        let previous = (0..count).map(|place| if place == 0 { NOBODY } else { place - 1 }).collect();
        Self { next, previous, entries, returns }
    }

    fn unlink(&mut self, place: usize) {
        let (before, after) = (self.previous[place], self.next[place]);
        self.next[before] = after;
        if after != NOBODY {
            self.previous[after] = before;
        }
    }

    fn relink(&mut self, place: usize) {
        let (before, after) = (self.previous[place], self.next[place]);
        self.next[before] = place;
        if after != NOBODY {
            self.previous[after] = place;
        }
    }

    fn lift(&mut self, place: usize) {
        self.unlink(place);
        let end = self.returns[self.entries[place].0];
        if end != NOBODY {
            self.unlink(end);
        }
    }

    fn put_back(&mut self, place: usize) {
        let end = self.returns[self.entries[place].0];
        if end != NOBODY {
            self.relink(end);
        }
        self.relink(place);
    }
}

/// Searches for an order of the calls, true to real time, that the model allows. A call that has no end need not be in it.
pub fn search<M: Model>(calls: &[Interval<M::Action>], deadline: Instant) -> Found {
    let mut line = Line::new(calls);
    let mut open = calls.iter().filter(|call| call.ended.is_some()).count();
    let mut taken = vec![0u64; calls.len().div_ceil(64)];
    let mut seen: HashSet<(Box<[u64]>, M::State)> = HashSet::new();
    let mut path: Vec<(usize, M::State)> = Vec::new();
    let mut state = M::initial();
    let mut place = line.next[HEAD];
    let mut steps = 0u32;
    while open > 0 {
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(STEPS_PER_LOOK) && Instant::now() > deadline {
            return Found::OutOfTime;
        }
        let tried = if place == NOBODY { None } else { Some(line.entries[place]) };
        if let Some((call, false)) = tried {
            let after = M::step(&state, &calls[call].action).filter(|after| {
                taken[call / 64] |= 1 << (call % 64);
                let fresh = seen.insert((taken.clone().into_boxed_slice(), after.clone()));
                if !fresh {
                    taken[call / 64] &= !(1 << (call % 64));
                }
                fresh
            });
            match after {
                Some(after) => {
                    path.push((place, std::mem::replace(&mut state, after)));
                    open -= usize::from(calls[call].ended.is_some());
                    line.lift(place);
                    place = line.next[HEAD];
                }
                None => place = line.next[place],
            }
            continue;
        }
        // A return whose call is not taken yet, or the end of the line: nothing here leads on.
        let Some((last, before)) = path.pop() else { return Found::None };
        let call = line.entries[last].0;
        state = before;
        taken[call / 64] &= !(1 << (call % 64));
        open += usize::from(calls[call].ended.is_some());
        line.put_back(last);
        place = line.next[last];
    }
    Found::Order
}
