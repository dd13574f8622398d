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
        for (stamped, outcome) in agreed.commands.iter().zip(&agreed.applied.outcomes) {
            let first = self.seen.insert(stamped.id);
            let Command::Object(command) = &stamped.command else { continue };
            if !first {
                continue;
            }
            let stale = matches!(outcome, Outcome::Refused(Refusal::StaleEpoch { .. } | Refusal::OutcomeUnknown));
            let fits = match (self.expected(command), outcome) {
                (None, Outcome::Done { .. }) => true,
                (Some(expected), Outcome::Refused(refusal)) => expected == *refusal || stale,
                _ => stale,
            };
            if !fits {
                let expected = self.expected(command);
                found.push(format!("{command:?} came to {outcome:?}, expected was {expected:?} (none: done)"));
            }
            if let Outcome::Done { revision } = outcome {
                match command.action {
                    Action::Put(_) => self.live.insert(command.key.clone(), *revision),
                    Action::Delete => self.live.remove(&command.key),
                };
            }
        }
    }
}
