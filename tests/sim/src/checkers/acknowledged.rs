//! What a client was told was done is in the log, at the revision that it was told, and came after all that anybody was
//! told of before the client asked.

use raft_state::{Action, Command, ObjectCommand, Outcome, Payload, Revision};

use super::Checker;
use crate::judge::Record;
use crate::ledger::{Ledger, Write};

/// Nothing to remember.
#[derive(Default)]
pub struct Acknowledged;

impl Checker for Acknowledged {
    fn end(&mut self, record: &Record, ledger: &Ledger, found: &mut Vec<String>) {
        for write in &ledger.writes {
            match (&write.outcome, &write.command) {
                (Some(Outcome::Done { revision }), Command::Object(command)) => {
                    done(record, write, command, *revision, found);
                }
                (Some(Outcome::Txn { revision, .. } | Outcome::LeaseEnded { revision, .. }), command)
                    if *revision < write.floor =>
                {
                    found.push(format!("{command:?} was done at {revision}, though {} was known", write.floor));
                }
                (Some(Outcome::EpochOpened { epoch, revision }), _) if *revision < write.floor => {
                    found.push(format!("epoch {epoch} opened at {revision}, though {} was known", write.floor));
                }
                _ => {}
            }
        }
    }
}

fn done(record: &Record, write: &Write, command: &ObjectCommand, revision: Revision, found: &mut Vec<String>) {
    let key = String::from_utf8_lossy(&command.key);
    if revision <= write.floor {
        found.push(format!("a write of {key} took revision {revision}, though {} was known", write.floor));
    }
    let events = record.events.get(&revision).map_or(&[][..], Vec::as_slice);
    let kept = events.iter().any(|event| {
        let same = match &command.action {
            Action::Delete => event.deleted,
            Action::Put(Payload::Object { json, .. } | Payload::Opaque(json)) => event.entry.same_as(json),
            Action::Put(_) => true,
        };
        event.entry.key == command.key && same
    });
    if !kept {
        found.push(format!("a write of {key} was acknowledged at revision {revision}; there is {events:?}"));
    }
}
