//! What the cluster remembers of its members beside who they are now.
//!
//! The membership itself belongs to the log. What it cannot say is kept here: which ids were ever given out, which of
//! them are over for good, and who holds a token to join with. None of it takes a revision, and none of it is a key.

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Permission to join, held by whoever knows the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// SHA-256 of the secret; the secret itself is known to its bearer alone.
    pub hash: [u8; 32],
    /// Good for a read replica only.
    pub replica: bool,
    /// Good for a member of this name only.
    pub name: Option<String>,
    /// When it ends, seconds since 1970. Checked by the member that is shown the token, by its own clock: no apply reads
    /// one.
    pub expires_s: u64,
}

impl JoinToken {
    fn digest(&self, id: &str) -> u128 {
        let mut hasher = Xxh3::new();
        hasher.update(b"T");
        for text in [Some(id), self.name.as_deref()] {
            // A name that is missing is none of any length.
            hasher.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            hasher.update(text.unwrap_or_default().as_bytes());
        }
        hasher.update(&self.hash);
        hasher.update(&[u8::from(self.replica)]);
        hasher.update(&self.expires_s.to_le_bytes());
        hasher.digest128()
    }
}

/// Of an id, and what it is; none has no id.
fn digest_of_id(what: u8, id: u64) -> u128 {
    let mut bytes = [what; 9];
    bytes[1..].copy_from_slice(&id.to_le_bytes());
    if id == 0 { 0 } else { xxh3_128(&bytes) }
}

/// One change of the roster, as it is applied and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterChange {
    /// Ids up to this one have been given out.
    LastId(u64),
    /// This id is over for good.
    Retired(u64),
    /// A token was made, or is gone.
    Token(String, Option<JoinToken>),
}

/// Ids and tokens. O(1) to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    last_id: u64,
    retired: OrdSet<u64>,
    tokens: OrdMap<String, JoinToken>,
    /// Sum of the digests of what is in force, wrapping.
    sum: u128,
}

impl Roster {
    /// The highest id given out so far.
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Whether a member with this id was removed: it may never speak again.
    pub fn is_retired(&self, id: u64) -> bool {
        self.retired.contains(&id)
    }

    /// All ids that are over.
    pub fn retired(&self) -> &OrdSet<u64> {
        &self.retired
    }

    /// A token by its public part.
    pub fn token(&self, id: &str) -> Option<&JoinToken> {
        self.tokens.get(id)
    }

    /// All tokens by their public parts.
    pub fn tokens(&self) -> &OrdMap<String, JoinToken> {
        &self.tokens
    }

    /// Brings a change into force.
    pub fn take(&mut self, change: &RosterChange) {
        match change {
            RosterChange::LastId(id) if *id > self.last_id => {
                self.replace(digest_of_id(b'I', self.last_id), digest_of_id(b'I', *id));
                self.last_id = *id;
            }
            RosterChange::LastId(_) => {}
            RosterChange::Retired(id) => {
                if self.retired.insert(*id).is_none() {
                    self.replace(0, digest_of_id(b'R', *id));
                }
            }
            RosterChange::Token(id, token) => {
                let before = match token {
                    Some(token) => self.tokens.insert(id.clone(), token.clone()),
                    None => self.tokens.remove(id),
                };
                let digest = |token: &Option<JoinToken>| token.as_ref().map_or(0, |token| token.digest(id));
                self.replace(digest(&before), digest(token));
            }
        }
    }

    fn replace(&mut self, before: u128, now: u128) {
        self.sum = self.sum.wrapping_sub(before).wrapping_add(now);
    }

    /// Summand of the hash over the whole state, as it rolled along.
    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    /// The same, computed anew from what lies in memory.
    pub(crate) fn recount(&self) -> u128 {
        let ids = self.retired.iter().map(|id| digest_of_id(b'R', *id));
        let tokens = self.tokens.iter().map(|(id, token)| token.digest(id));
        ids.chain(tokens).fold(digest_of_id(b'I', self.last_id), u128::wrapping_add)
    }

    /// What the membership's going from `before` to `now` means: ids that came are given out, ids that went are over.
    pub(crate) fn membership(&self, before: &[u64], now: &[u64]) -> Vec<RosterChange> {
        let highest = now.iter().copied().max().filter(|id| *id > self.last_id).map(RosterChange::LastId);
        let gone = before.iter().filter(|id| !now.contains(id)).map(|id| RosterChange::Retired(*id));
        highest.into_iter().chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_given_out_once_and_is_over_once_it_is_gone() {
        let mut roster = Roster::default();
        let mut check = |before: &[u64], now: &[u64], last: u64, retired: &[u64]| {
            for change in roster.membership(before, now) {
                roster.take(&change);
            }
            assert_eq!(roster.last_id(), last, "{before:?} to {now:?}");
            assert_eq!(roster.retired().iter().copied().collect::<Vec<_>>(), retired, "{before:?} to {now:?}");
            assert_eq!(roster.sum(), roster.recount(), "{before:?} to {now:?}");
        };
        check(&[], &[1, 2, 3], 3, &[]);
        check(&[1, 2, 3], &[1, 2, 3, 5], 5, &[]);
        check(&[1, 2, 3, 5], &[1, 3, 5], 5, &[2]);
        check(&[1, 3, 5], &[1], 5, &[2, 3, 5]);
    }
}
