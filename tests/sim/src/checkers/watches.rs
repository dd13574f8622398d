//! A watch is ordered, unique, reliable, resumable and bookmarked: it gets every event of its prefix above where it began,
//! once, in the order of revisions, as it was; and what it is told to have is what it has.

use raft_state::{Event, Revision};

use super::Checker;
use crate::judge::Record;
use crate::ledger::{Ledger, Taken, Watch};

/// Nothing to remember.
#[derive(Default)]
pub struct Watches;

impl Checker for Watches {
    fn end(&mut self, record: &Record, ledger: &Ledger, found: &mut Vec<String>) {
        for (number, watch) in ledger.watches.iter().enumerate() {
            if let Some(text) = judge(record, watch) {
                found.push(format!("watch {number} of {}: {text}", String::from_utf8_lossy(&watch.prefix)));
            }
        }
    }
}

fn judge(record: &Record, watch: &Watch) -> Option<String> {
    let mut have: Revision = 0;
    let mut expected: Vec<&Event> = Vec::new();
    let mut next = 0;
    for taken in &watch.taken {
        match taken {
            Taken::Resumed(after) => {
                have = *after;
                expected = record
                    .events
                    .range(after + 1..)
                    .flat_map(|(_, events)| events)
                    .filter(|event| event.entry.key.starts_with(&watch.prefix))
                    .collect();
                next = 0;
            }
            Taken::Event(event) => {
                let Some(wanted) = expected.get(next) else {
                    return Some(format!("revision {} came after the last event", event.revision));
                };
                if let Some(text) = differs(wanted, event) {
                    return Some(format!("{text} (it had {have})"));
                }
                next += 1;
                have = have.max(event.revision);
            }
            Taken::Progress(progress) => {
                if *progress < have {
                    return Some(format!("progress {progress} was told after revision {have}"));
                }
                if let Some(missing) = expected.get(next).filter(|event| event.revision <= *progress) {
                    return Some(format!("progress {progress} was told, but revision {} was not", missing.revision));
                }
                have = *progress;
            }
            Taken::Compacted(after, floor) => {
                if after >= floor || *floor > record.floor {
                    let known = record.floor;
                    return Some(format!("it was told that {after} is below the floor {floor}; the floor is {known}"));
                }
            }
        }
    }
    None
}

fn differs(wanted: &Event, event: &Event) -> Option<String> {
    if event.revision != wanted.revision || event.entry.key != wanted.entry.key {
        return Some(format!("revision {} came where {} was next", event.revision, wanted.revision));
    }
    let previous = |event: &Event| event.previous.as_ref().map(|p| (p.mod_revision, p.value.clone()));
    let same = event.deleted == wanted.deleted
        && event.entry.value == wanted.entry.value
        && event.entry.version == wanted.entry.version
        && event.entry.create_revision == wanted.entry.create_revision
        && previous(event) == previous(wanted);
    (!same).then(|| format!("revision {} came as {event:?}, it was {wanted:?}", event.revision))
}
