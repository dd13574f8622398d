//! The window of outcomes that makes retries exact: a command that comes twice is applied once.

use std::collections::BTreeMap;

use crate::whole::digest_of_words;
use crate::{CommandId, Outcome, Refusal};

/// Outcomes kept for one boot. Far above what a master can have in flight within a deadline.
const OUTCOMES_PER_BOOT_MAX: usize = 65_536;

/// What is known of the commands of one boot of one master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Boot {
    /// Every sequence up to here is settled and forgotten.
    low_water: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

/// All boots. Part of the replicated state: trimmed by what the commands themselves carry, so equal on all replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    boots: BTreeMap<u64, Boot>,
    /// Sum of the digests of all outcomes and marks, wrapping.
    sum: u128,
}

impl Window {
    /// The outcome of a command that came before; `OutcomeUnknown` when it may have come and is forgotten.
    pub fn outcome(&self, id: CommandId) -> Option<Outcome> {
        let boot = self.boots.get(&id.boot)?;
        if let Some(outcome) = boot.outcomes.get(&id.sequence) {
            return Some(outcome.clone());
        }
        (id.sequence <= boot.low_water).then_some(Outcome::Refused(Refusal::OutcomeUnknown))
    }

    /// Remembers an outcome.
    pub fn remember(&mut self, id: CommandId, outcome: Outcome) {
        self.sum = self.sum.wrapping_add(outcome.digest(id));
        if let Some(before) = self.boots.entry(id.boot).or_default().outcomes.insert(id.sequence, outcome) {
            self.sum = self.sum.wrapping_sub(before.digest(id));
        }
    }

    /// Summand of the hash over the whole state.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// Forgets every sequence of a boot up to `low_water`, and what exceeds the bound. Returns the mark when it rose.
    pub fn forget(&mut self, boot: u64, low_water: u64) -> Option<u64> {
        let entry = self.boots.entry(boot).or_default();
        let excess = entry.outcomes.len().saturating_sub(OUTCOMES_PER_BOOT_MAX);
        let bound = excess.checked_sub(1).and_then(|last| entry.outcomes.keys().nth(last).copied()).unwrap_or(0);
        let mark = low_water.max(bound);
        if mark <= entry.low_water {
            return None;
        }
        let risen = digest_of_mark(boot, mark).wrapping_sub(digest_of_mark(boot, entry.low_water));
        self.sum = self.sum.wrapping_add(risen);
        entry.low_water = mark;
        while let Some(first) = entry.outcomes.first_entry().filter(|first| *first.key() <= mark) {
            let (sequence, outcome) = first.remove_entry();
            self.sum = self.sum.wrapping_sub(outcome.digest(CommandId { boot, sequence }));
        }
        Some(mark)
    }
}

/// A boot without a mark adds nothing.
fn digest_of_mark(boot: u64, mark: u64) -> u128 {
    match mark {
        0 => 0,
        mark => digest_of_words(b'W', &[boot, mark]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sequence: u64) -> CommandId {
        CommandId { boot: 7, sequence }
    }

    #[test]
    fn a_remembered_outcome_is_given_again_and_a_forgotten_one_is_unknown() {
        let mut window = Window::default();
        assert_eq!(window.outcome(id(1)), None);
        window.remember(id(1), Outcome::Done { revision: 5 });
        window.remember(id(2), Outcome::Done { revision: 6 });
        assert_eq!(window.outcome(id(1)), Some(Outcome::Done { revision: 5 }));
        assert_eq!(window.forget(7, 1), Some(1));
        assert_eq!(window.forget(7, 1), None);
        assert_eq!(window.outcome(id(1)), Some(Outcome::Refused(Refusal::OutcomeUnknown)));
        assert_eq!(window.outcome(id(2)), Some(Outcome::Done { revision: 6 }));
        assert_eq!(window.outcome(id(3)), None);
    }

    #[test]
    fn the_window_is_bounded_whatever_the_marks_say() {
        let mut window = Window::default();
        for sequence in 1..=OUTCOMES_PER_BOOT_MAX as u64 + 10 {
            window.remember(id(sequence), Outcome::Done { revision: sequence });
            window.forget(7, 0);
        }
        assert_eq!(window.outcome(id(10)), Some(Outcome::Refused(Refusal::OutcomeUnknown)));
        assert_eq!(window.outcome(id(11)), Some(Outcome::Done { revision: 11 }));
    }
}
