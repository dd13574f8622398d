//! A command has an effect once, however often it is in the log.

use std::collections::BTreeMap;

use raft_state::{CommandId, Outcome};

use super::Checker;
use crate::judge::Agreed;

/// The first outcome of each id.
#[derive(Default)]
pub struct AppliedOnce {
    seen: BTreeMap<CommandId, Outcome>,
}

impl Checker for AppliedOnce {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        let (mut effects, mut perhaps) = (0, 0);
        for (stamped, outcome) in agreed.commands.iter().zip(&agreed.applied.outcomes) {
            let first = self.seen.get(&stamped.id);
            let unknown = *outcome == Outcome::Refused(raft_state::Refusal::OutcomeUnknown);
            match first {
                None => {
                    effects += usize::from(matches!(outcome, Outcome::Done { .. }));
                    perhaps += usize::from(matches!(outcome, Outcome::Txn { .. } | Outcome::LeaseEnded { .. }));
                    self.seen.insert(stamped.id, outcome.clone());
                }
                Some(first) if first == outcome || unknown => {}
                Some(first) => found.push(format!("{:?} came to {first:?}, then to {outcome:?}", stamped.id)),
            }
        }
        let mut revisions: Vec<u64> = agreed.applied.events.iter().map(|event| event.revision).collect();
        revisions.dedup();
        if revisions.len() < effects || revisions.len() > effects + perhaps {
            let (index, taken) = (agreed.entry.id.index, revisions.len());
            found.push(format!(
                "entry {index} has {effects} to {} new commands with an effect, {taken} revisions",
                effects + perhaps
            ));
        }
    }
}
