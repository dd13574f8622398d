//! The hash over all of the replicated state, by which replicas find out that they differ. (Whoever keeps the membership
//! adds it.)
//!
//! [`Snapshot::hash`] is stored with the state and covers what lives: entries and leases. [`State::whole`] adds what cannot be
//! read back as a key: revision, floor, epoch, offices, members' ids, tokens to join with, and the outcomes that retries are
//! answered from. Two members that differ in any of these would sooner or later differ in what clients see.
//!
//! Numbers stand in the digests in a fixed order, not as some codec writes them: builds of different age must come to the same.
//! Whoever changes what counts here gives the hash another field in the peers' protocol (`CompareResponse`), so that
//! builds with different notions of it do not take each other for diverged.

use xxhash_rust::xxh3::xxh3_128;

use crate::record::Scalars;
use crate::{CommandId, Outcome, Refusal, Snapshot, State};

/// Digest of some numbers, and of what they are.
pub fn digest_of_words(what: u8, words: &[u64]) -> u128 {
    // In one piece: several a command, and a hasher that takes them bit by bit is half a kilobyte to set up.
    let mut bytes = Vec::with_capacity(1 + size_of_val(words));
    bytes.push(what);
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    xxh3_128(&bytes)
}

impl State {
    /// The hash over the whole state: equal on all replicas at equal log indexes.
    pub fn whole(&self) -> u128 {
        let Scalars { revision, epoch, compacted, hash: _, grants, lease_office } = *self.live().scalars();
        let scalars = digest_of_words(b'S', &[revision, epoch, compacted, grants, lease_office]);
        scalars.wrapping_add(self.window_sum()).wrapping_add(self.live().sum())
    }
}

impl Snapshot {
    /// The part of the hash that [`Snapshot::recount`] must come to.
    pub fn sum(&self) -> u128 {
        self.hash().wrapping_add(self.roster().sum())
    }
}

impl Outcome {
    /// Of what is remembered of a command.
    pub(crate) fn digest(&self, id: CommandId) -> u128 {
        let words = match self {
            Self::Done { revision } => [1, *revision, 0, 0, 0],
            Self::EpochOpened { epoch, revision } => [2, *epoch, *revision, 0, 0],
            // The answers are not remembered.
            Self::Txn { revision, succeeded, .. } => [3, *revision, u64::from(*succeeded), 0, 0],
            Self::LeaseGranted { grant, revision } => [4, *grant, *revision, 0, 0],
            Self::LeaseEnded { revision, deleted } => [5, *revision, *deleted, 0, 0],
            Self::LeaseOfficeOpened { office } => [6, *office, 0, 0, 0],
            Self::MemberMinted { id } => [7, *id, 0, 0, 0],
            Self::JoinTokenSet => [8, 0, 0, 0, 0],
            Self::Rebased { revision } => [9, *revision, 0, 0, 0],
            Self::Compacted { revision } => [10, *revision, 0, 0, 0],
            Self::Refused(refusal) => {
                let [kind, a, b, c] = words_of_refusal(refusal);
                [11, kind, a, b, c]
            }
        };
        let [kind, a, b, c, d] = words;
        digest_of_words(b'O', &[id.boot, id.sequence, kind, a, b, c, d])
    }
}

fn words_of_refusal(refusal: &Refusal) -> [u64; 4] {
    match refusal {
        Refusal::Exists { mod_revision } => [1, *mod_revision, 0, 0],
        Refusal::NotFound => [2, 0, 0, 0],
        Refusal::Conflict { mod_revision } => [3, *mod_revision, 0, 0],
        Refusal::StaleEpoch { current } => [4, *current, 0, 0],
        Refusal::OutcomeUnknown => [5, 0, 0, 0],
        Refusal::BadCompaction { requested, floor, current } => [6, *requested, *floor, *current],
        Refusal::LeaseNotFound => [7, 0, 0, 0],
        Refusal::LeaseExists => [8, 0, 0, 0],
        Refusal::BadLease => [9, 0, 0, 0],
        Refusal::StaleExpiry { office } => [10, *office, 0, 0],
        Refusal::DuplicateKey => [11, 0, 0, 0],
        Refusal::FutureRevision { requested, current } => [12, *requested, *current, 0],
        Refusal::CompactedRevision { requested, floor } => [13, *requested, *floor, 0],
        Refusal::Unsealable => [14, 0, 0, 0],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use crate::{Command, JoinToken, Keyring, Payload, RosterChange, Stamped};

    use super::*;

    struct NoKeys;

    impl Keyring for NoKeys {
        fn open(&self, _: &[u8], _: u32, _: &[u8; 12], _: &[u8]) -> Option<Bytes> {
            None
        }

        fn seal(&self, _: &[u8], _: &[u8], _: u32) -> Payload {
            unreachable!("nothing is sealed here")
        }
    }

    fn state() -> State {
        let mut state = State::new(Arc::new(NoKeys));
        apply(&mut state, 1, Command::Rebase { by: 10 });
        state.membership(&[], &[1, 2, 3], &mut crate::Applied::default());
        state
    }

    fn apply(state: &mut State, sequence: u64, command: Command) {
        let id = CommandId { boot: 1, sequence };
        state.apply(&[Stamped { id, low_water: 0, command }]);
    }

    /// As if a member had got this wrong, and nothing else.
    fn scalars(wrong: impl Fn(&mut Scalars)) -> impl Fn(&mut State) {
        move |state| {
            let mut scalars = *state.snapshot().scalars();
            wrong(&mut scalars);
            assert!(state.finish_load(scalars), "what lives is the same");
        }
    }

    fn token(name: Option<&str>, expires_s: u64) -> RosterChange {
        let token = JoinToken { hash: [7; 32], replica: false, name: name.map(str::to_owned), expires_s };
        RosterChange::Token("t".to_owned(), Some(token))
    }

    #[test]
    fn every_part_of_the_state_counts() {
        let check = |what: &str, wrong: &dyn Fn(&mut State)| {
            let (sound, mut astray) = (state(), state());
            assert_eq!(sound.whole(), astray.whole());
            wrong(&mut astray);
            assert_ne!(sound.whole(), astray.whole(), "{what}");
        };
        check("the office over leases", &scalars(|scalars| scalars.lease_office += 1));
        check("the manager's epoch", &scalars(|scalars| scalars.epoch += 1));
        check("the revision", &scalars(|scalars| scalars.revision += 1));
        check("the floor", &scalars(|scalars| scalars.compacted -= 1));
        check("grants so far", &scalars(|scalars| scalars.grants += 1));
        check("two numbers that changed places", &scalars(|s| (s.epoch, s.lease_office) = (s.epoch + 1, s.epoch)));
        check("ids given out", &|state| state.load_roster(&RosterChange::LastId(4)));
        check("a member that is over", &|state| state.load_roster(&RosterChange::Retired(2)));
        check("a token", &|state| state.load_roster(&token(None, 5)));
        check("an outcome", &|state| state.load_outcome(9, 1, Outcome::MemberMinted { id: 4 }));
        check("what is forgotten", &|state| state.load_low_water(1, 1));
        check("a lease", &|state| state.load_lease(5, crate::Lease { ttl_s: 9, grant: 1 }));
    }

    #[test]
    fn what_is_undone_leaves_nothing_behind() {
        let (mut a, mut b) = (state(), state());
        a.load_roster(&token(Some("m4"), 5));
        b.load_roster(&token(None, 5));
        assert_ne!(a.whole(), b.whole(), "tokens for a name, and for any");
        b.load_roster(&token(Some("m4"), 6));
        assert_ne!(a.whole(), b.whole(), "tokens that end at different times");
        for state in [&mut a, &mut b] {
            state.load_roster(&RosterChange::Token("t".to_owned(), None));
        }
        assert_eq!(a.whole(), b.whole(), "no tokens");
        a.load_outcome(2, 3, Outcome::JoinTokenSet);
        a.load_low_water(2, 3);
        b.load_low_water(2, 3);
        assert_eq!(a.whole(), b.whole(), "an outcome that is forgotten");
    }
}
