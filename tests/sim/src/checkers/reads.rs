//! A linearizable read sees all that anybody was told of before it was asked, and every read sees exactly the state at its
//! revision. The order of revisions is the witness of linearizability.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_state::Revision;
use raft_state::port::ReadLevel;

use super::Checker;
use crate::judge::Record;
use crate::ledger::{Ledger, Read};

/// Nothing to remember.
#[derive(Default)]
pub struct Reads;

impl Checker for Reads {
    fn end(&mut self, record: &Record, ledger: &Ledger, found: &mut Vec<String>) {
        let mut reads: Vec<&Read> = ledger.reads.iter().collect();
        reads.sort_by_key(|read| read.revision);
        let mut live: BTreeMap<Bytes, (Revision, Bytes)> = BTreeMap::new();
        let mut events = record.events.iter().peekable();
        for read in reads {
            while let Some((_, at)) = events.next_if(|(revision, _)| **revision <= read.revision) {
                for event in at {
                    match event.deleted {
                        true => live.remove(&event.entry.key),
                        false => live.insert(event.entry.key.clone(), (event.revision, event.entry.value.clone())),
                    };
                }
            }
            fresh_enough(read, found);
            let expected = live
                .range(read.prefix.clone()..)
                .take_while(|(key, _)| key.starts_with(&read.prefix))
                .map(|(key, (revision, value))| (key, revision, value));
            if !expected.eq(read.found.iter().map(|(key, revision, value)| (key, revision, value))) {
                let (level, revision) = (read.level, read.revision);
                let shown: Vec<_> = read.found.iter().map(|(key, at, _)| (key, at)).collect();
                found.push(format!("a read ({level:?}) at revision {revision} found {shown:?}, which was not so"));
            }
        }
    }
}

fn fresh_enough(read: &Read, found: &mut Vec<String>) {
    let (asked_us, revision) = (read.asked_us, read.revision);
    let fits = match read.level {
        ReadLevel::Linearizable => revision >= read.floor,
        ReadLevel::AtLeast(wanted) => revision >= wanted,
        ReadLevel::Exact(wanted) => revision == wanted,
    };
    if !fits {
        let (level, floor) = (read.level, read.floor);
        found.push(format!("a read ({level:?}) asked at {asked_us} us saw {revision}, though {floor} was known"));
    }
}
