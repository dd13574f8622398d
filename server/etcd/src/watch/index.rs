//! Which watches an event concerns: by key, by prefix, and the rest by looking at each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use raft_state::{KeyRange, RangeEnd, Revision};

use super::watcher::Watcher;

/// A watch, and the first revision that the hub has to give it: what came before it has by other ways.
struct Place {
    watcher: Arc<Watcher>,
    from: Revision,
}

/// The watches that the hub serves.
#[derive(Default)]
pub(super) struct Index {
    keys: HashMap<Bytes, Vec<Place>>,
    /// By the length of the prefix, of which there are few.
    prefixes: BTreeMap<usize, HashMap<Bytes, Vec<Place>>>,
    ranges: Vec<Place>,
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.prefixes.is_empty() && self.ranges.is_empty()
    }

    pub(super) fn insert(&mut self, watcher: Arc<Watcher>, from: Revision) {
        let places = match shape(&watcher.keys) {
            Shape::Key(key) => self.keys.entry(key).or_default(),
            Shape::Prefix(prefix) => self.prefixes.entry(prefix.len()).or_default().entry(prefix).or_default(),
            Shape::Range => &mut self.ranges,
        };
        places.push(Place { watcher, from });
    }

    pub(super) fn remove(&mut self, watcher: &Watcher) {
        let leave = |places: &mut Vec<Place>| {
            if let Some(at) = places.iter().position(|place| place.watcher.serial == watcher.serial) {
                places.swap_remove(at);
            }
            places.is_empty()
        };
        match shape(&watcher.keys) {
            Shape::Key(key) => {
                if self.keys.get_mut(&key).is_some_and(leave) {
                    self.keys.remove(&key);
                }
            }
            Shape::Prefix(prefix) => {
                let Some(prefixes) = self.prefixes.get_mut(&prefix.len()) else { return };
                if prefixes.get_mut(&prefix).is_some_and(leave) {
                    prefixes.remove(&prefix);
                }
                if prefixes.is_empty() {
                    self.prefixes.remove(&prefix.len());
                }
            }
            Shape::Range => {
                leave(&mut self.ranges);
            }
        }
    }

    /// Calls `found` with every watch whose keys hold this one, and that has not had the revision yet.
    pub(super) fn concerned(&self, key: &[u8], revision: Revision, mut found: impl FnMut(&Arc<Watcher>)) {
        let mut visit = |places: &[Place]| {
            for place in places.iter().filter(|place| revision >= place.from) {
                found(&place.watcher);
            }
        };
        if let Some(places) = self.keys.get(key) {
            visit(places);
        }
        for (length, prefixes) in &self.prefixes {
            let Some(prefix) = key.get(..*length) else { break };
            if let Some(places) = prefixes.get(prefix) {
                visit(places);
            }
        }
        for place in self.ranges.iter().filter(|place| revision >= place.from) {
            if place.watcher.keys.contains(key) {
                found(&place.watcher);
            }
        }
    }

    /// Takes all watches out.
    pub(super) fn drain(&mut self) -> Vec<Arc<Watcher>> {
        let Self { keys, prefixes, ranges } = std::mem::take(self);
        let places = keys.into_values().chain(prefixes.into_values().flat_map(HashMap::into_values)).flatten();
        places.chain(ranges).map(|place| place.watcher).collect()
    }
}

enum Shape {
    Key(Bytes),
    Prefix(Bytes),
    Range,
}

fn shape(keys: &KeyRange) -> Shape {
    match &keys.end {
        RangeEnd::Same => Shape::Key(keys.start.clone()),
        // From the lowest key on: everything.
        RangeEnd::Last if keys.start[..] <= [0][..] => Shape::Prefix(Bytes::new()),
        _ if KeyRange::prefix(keys.start.clone()).end == keys.end => Shape::Prefix(keys.start.clone()),
        _ => Shape::Range,
    }
}
