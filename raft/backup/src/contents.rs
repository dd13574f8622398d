//! What a backup holds, whatever its format, and how it is moved to revisions that nobody has seen.

use raft_state::record::Scalars;
use raft_state::{Lease, Place, Record, Revision};

use crate::Error;

/// The highest number that clients in JavaScript, and JSON readers like them, hold exactly.
const REVISION_MAX: Revision = (1 << 53) - 1;

/// A live version of a key with its place.
pub type Version = (Place, Record);

/// Everything that lives in a store as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The small numbers. The hash is not among them: it follows from the rest.
    pub scalars: Scalars,
    /// Live versions, ascending by place.
    pub versions: Vec<Version>,
    /// Leases by id.
    pub leases: Vec<(i64, Lease)>,
}

/// By how much a restore raises all revisions. A backup cannot know which revisions were handed out after it was taken;
/// raised far enough, everything restored is newer than anything a client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift(pub Revision);

impl Default for Shift {
    fn default() -> Self {
        Self(1_000_000_000)
    }
}

impl Contents {
    /// Raises all revisions alike, so that their order and their distances stay, and marks everything before as compacted:
    /// clients that go on from an earlier revision are told to list again.
    ///
    /// # Errors
    /// [`Error::TooFar`].
    pub fn shift(&mut self, Shift(added): Shift) -> Result<(), Error> {
        let scalars = &mut self.scalars;
        let raised = scalars.revision.checked_add(added).filter(|raised| *raised <= REVISION_MAX);
        let raised = raised.ok_or(Error::TooFar { revision: scalars.revision, added })?;
        scalars.revision = raised;
        scalars.compacted = raised;
        for (place, record) in &mut self.versions {
            place.revision += added;
            record.create_revision += added;
        }
        Ok(())
    }

    /// In the order in which a store keeps them.
    pub(crate) fn sort(&mut self) {
        self.versions.sort_by_key(|(place, _)| *place);
        self.leases.sort_by_key(|(id, _)| *id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(revision: Revision, versions: &[(Revision, Revision)]) -> Contents {
        let version = |(create_revision, revision): &(Revision, Revision)| {
            let record = Record {
                key: "k".into(),
                payload: None,
                create_revision: *create_revision,
                version: 1,
                lease: 0,
                previous: None,
            };
            (Place { revision: *revision, sub: 0 }, record)
        };
        let scalars = Scalars { revision, ..Scalars::default() };
        Contents { scalars, versions: versions.iter().map(version).collect(), leases: Vec::new() }
    }

    #[test]
    fn revisions_rise_together_and_the_past_is_compacted() {
        let mut moved = contents(20, &[(3, 7), (9, 9)]);
        moved.shift(Shift(1000)).unwrap();
        let expected = contents(1020, &[(1003, 1007), (1009, 1009)]);
        assert_eq!(moved.versions, expected.versions);
        assert_eq!((moved.scalars.revision, moved.scalars.compacted), (1020, 1020));
    }

    #[test]
    fn no_revision_grows_beyond_what_clients_count() {
        let check = |revision: Revision, added: Revision, fits: bool| {
            assert_eq!(contents(revision, &[]).shift(Shift(added)).is_ok(), fits, "{revision} + {added}");
        };
        check(5, 1_000_000_000, true);
        check(5, (1 << 53) - 6, true);
        check(5, (1 << 53) - 5, false);
        check(5, u64::MAX, false);
    }
}
