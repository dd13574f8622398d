//! Preconditions decide: an object command is done exactly when what it expects holds, by a model of nothing but keys and
//! revisions.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use raft_state::{Action, Command, CommandId, Expect, ObjectCommand, Outcome, Refusal, Revision};

use super::Checker;
use crate::judge::Agreed;

/// Live keys and their revisions.
#[derive(Default)]
pub struct Refusals {
    live: BTreeMap<Bytes, Revision>,
    seen: BTreeSet<CommandId>,
}

impl Refusals {
    fn expected(&self, command: &ObjectCommand) -> Option<Refusal> {
        match (command.expect, self.live.get(&command.key).copied(), &command.action) {
            (Expect::Absent, Some(mod_revision), _) => Some(Refusal::Exists { mod_revision }),
            (Expect::At(_), None, _) | (_, None, Action::Delete) => Some(Refusal::NotFound),
            (Expect::At(at), Some(mod_revision), _) if at != mod_revision => Some(Refusal::Conflict { mod_revision }),
            _ => None,
        }
    }
}

impl Checker for Refusals {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        let mut events = agreed.applied.events.iter().peekable();
        for (stamped, outcome) in agreed.commands.iter().zip(&agreed.applied.outcomes) {
            if !self.seen.insert(stamped.id) {
                continue;
            }
            if let Command::Object(command) = &stamped.command {
                self.judge(command, outcome, found);
            }
            let revision = match outcome {
                Outcome::Done { revision } | Outcome::Txn { revision, .. } | Outcome::LeaseEnded { revision, .. } => {
                    *revision
                }
                _ => continue,
            };
            while let Some(event) = events.next_if(|event| event.revision <= revision) {
                match event.deleted {
                    true => self.live.remove(&event.entry.key),
                    false => self.live.insert(event.entry.key.clone(), event.revision),
                };
            }
        }
    }
}

impl Refusals {
    fn judge(&self, command: &ObjectCommand, outcome: &Outcome, found: &mut Vec<String>) {
        let expected = self.expected(command);
        let stale = matches!(outcome, Outcome::Refused(Refusal::StaleEpoch { .. } | Refusal::OutcomeUnknown));
        let fits = match (&expected, outcome) {
            (None, Outcome::Done { .. }) => true,
            (Some(expected), Outcome::Refused(refusal)) => expected == refusal || stale,
            _ => stale,
        };
        if !fits {
            found.push(format!("{command:?} came to {outcome:?}, expected was {expected:?} (none: done)"));
        }
    }
}
