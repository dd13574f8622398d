//! Members' ids and tokens at apply, and the leap of the revision that begins a new cluster.

use crate::{JoinToken, Outcome, Revision, RosterChange, State};

use super::Applied;

impl State {
    pub(super) fn mint_member(&mut self, applied: &mut Applied) -> Outcome {
        let id = self.live.roster.last_id() + 1;
        self.change_roster(RosterChange::LastId(id), applied);
        Outcome::MemberMinted { id }
    }

    pub(super) fn set_token(&mut self, id: &str, token: Option<&JoinToken>, applied: &mut Applied) -> Outcome {
        self.change_roster(RosterChange::Token(id.to_owned(), token.cloned()), applied);
        Outcome::JoinTokenSet
    }

    pub(super) fn rebase(&mut self, by: Revision, applied: &mut Applied) -> Outcome {
        let floor = self.live.scalars.compacted;
        let revision = self.live.scalars.revision.saturating_add(by);
        self.live.scalars.revision = revision;
        self.live.scalars.compacted = revision;
        let from = applied.delta.compacted.map_or(floor, |(from, _)| from);
        applied.delta.compacted = Some((from, revision));
        Outcome::Rebased { revision }
    }

    /// The membership was changed by the log entry that `applied` is of: ids that are gone are over for good.
    pub fn membership(&mut self, before: &[u64], now: &[u64], applied: &mut Applied) {
        for change in self.live.roster.membership(before, now) {
            self.change_roster(change, applied);
        }
    }

    fn change_roster(&mut self, change: RosterChange, applied: &mut Applied) {
        self.live.roster.take(&change);
        applied.delta.roster.push(change);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use crate::{Command, CommandId, Keyring, Outcome, Payload, Stamped, State};

    struct NoKeys;

    impl Keyring for NoKeys {
        fn open(&self, _key: &[u8], _key_id: u32, _nonce: &[u8; 12], _ciphertext: &[u8]) -> Option<Bytes> {
            None
        }
        fn seal(&self, _key: &[u8], json: &[u8], _splice_at: u32) -> Payload {
            Payload::Opaque(Bytes::copy_from_slice(json))
        }
    }

    fn apply(state: &mut State, sequence: u64, command: Command) -> Outcome {
        let id = CommandId { boot: 1, sequence };
        state.apply(&[Stamped { id, low_water: 0, command }]).outcomes.remove(0)
    }

    #[test]
    fn minted_ids_are_new_and_a_retry_mints_nothing() {
        let mut state = State::new(Arc::new(NoKeys));
        state.membership(&[], &[1, 2, 3], &mut crate::Applied::default());
        assert_eq!(apply(&mut state, 1, Command::MintMember), Outcome::MemberMinted { id: 4 });
        assert_eq!(apply(&mut state, 1, Command::MintMember), Outcome::MemberMinted { id: 4 });
        assert_eq!(apply(&mut state, 2, Command::MintMember), Outcome::MemberMinted { id: 5 });
        // The highest member goes: its id does not come again.
        state.membership(&[1, 2, 3, 5], &[1, 2, 3], &mut crate::Applied::default());
        assert_eq!(apply(&mut state, 3, Command::MintMember), Outcome::MemberMinted { id: 6 });
        assert!(state.snapshot().roster().is_retired(5));
        assert!(!state.snapshot().roster().is_retired(4));
    }

    #[test]
    fn a_rebase_leaps_and_leaves_nothing_uncompacted_behind() {
        let mut state = State::new(Arc::new(NoKeys));
        let outcome = apply(&mut state, 1, Command::Rebase { by: 1_000_000_000 });
        assert_eq!(outcome, Outcome::Rebased { revision: 1_000_000_001 });
        let snapshot = state.snapshot();
        assert_eq!((snapshot.revision(), snapshot.compacted()), (1_000_000_001, 1_000_000_001));
    }
}
