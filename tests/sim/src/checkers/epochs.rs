//! A command stamped with an epoch changes something only while that epoch is in force.

use std::collections::BTreeSet;

use raft_state::{Command, CommandId, Epoch, Outcome};

use super::Checker;
use crate::judge::Agreed;

/// The epoch in force, counted in the log.
#[derive(Default)]
pub struct Epochs {
    current: Epoch,
    seen: BTreeSet<CommandId>,
}

impl Checker for Epochs {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        for (stamped, outcome) in agreed.commands.iter().zip(&agreed.applied.outcomes) {
            if !self.seen.insert(stamped.id) {
                continue;
            }
            match (&stamped.command, outcome) {
                (Command::OpenEpoch { .. }, Outcome::EpochOpened { epoch, .. }) => {
                    if *epoch <= self.current {
                        found.push(format!("epoch {epoch} opened after epoch {}", self.current));
                    }
                    self.current = *epoch;
                }
                (Command::Object(command), Outcome::Done { revision }) => {
                    if let Some(epoch) = command.epoch.filter(|epoch| *epoch != self.current) {
                        let current = self.current;
                        found.push(format!("a command of epoch {epoch} took revision {revision} in epoch {current}"));
                    }
                }
                _ => {}
            }
        }
    }
}
