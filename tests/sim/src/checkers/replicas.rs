//! At equal log indexes all members have equal states, whether they applied the log, loaded a disk or took a snapshot.

use std::collections::BTreeMap;

use raft_state::{Applied, Event, Outcome, Snapshot};
use xxhash_rust::xxh3::Xxh3;

use super::Checker;
use crate::consensus::LogId;
use crate::tasks::Group;

/// What a state is, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Print {
    id: LogId,
    revision: u64,
    epoch: u64,
    compacted: u64,
    hash: u128,
}

/// What came of an entry, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Result {
    outcomes: Vec<Outcome>,
    events: u64,
}

/// By log index.
#[derive(Default)]
pub struct Replicas {
    states: BTreeMap<u64, (Group, Print)>,
    results: BTreeMap<u64, (Group, Result)>,
}

fn digest(events: &[Event]) -> u64 {
    let mut hasher = Xxh3::new();
    for event in events {
        hasher.update(&event.revision.to_le_bytes());
        hasher.update(&event.entry.key);
        hasher.update(&event.entry.value);
        hasher.update(&[u8::from(event.deleted)]);
        hasher.update(&event.previous.as_ref().map_or(0, |previous| previous.mod_revision).to_le_bytes());
    }
    hasher.digest()
}

impl Checker for Replicas {
    fn replica(
        &mut self,
        group: Group,
        at: LogId,
        applied: Option<&Applied>,
        after: &Snapshot,
        found: &mut Vec<String>,
    ) {
        let print = Print {
            id: at,
            revision: after.revision(),
            epoch: after.epoch(),
            compacted: after.compacted(),
            hash: after.hash(),
        };
        let (first, known) = self.states.entry(at.index).or_insert_with(|| (group, print.clone()));
        if *known != print {
            found.push(format!("at index {} m{} has {known:?}, m{} has {print:?}", at.index, first.0, group.0));
        }
        let Some(applied) = applied else { return };
        let result = Result { outcomes: applied.outcomes.clone(), events: digest(&applied.events) };
        let (first, known) = self.results.entry(at.index).or_insert_with(|| (group, result.clone()));
        if *known != result {
            found.push(format!("entry {} came to {known:?} at m{}, to {result:?} at m{}", at.index, first.0, group.0));
        }
    }
}
