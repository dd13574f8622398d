//! The retry window on the disk: what a log entry came to, for each boot that had commands in it, is one record, and one
//! mark a boot says up to where outcomes are forgotten. So an entry of a thousand commands writes, and later deletes, a
//! record or two, where a record for each outcome would cost more than the versions themselves.

use std::collections::{BTreeMap, BTreeSet};

use raft_state::{Delta, Outcome, State};
use rocksdb::{ColumnFamily, DB, IteratorMode, WriteBatch};

use crate::codec::number;
use crate::{Error, codec};

/// What is filed, so that it can be deleted without a look: one by one, for deleting a range would leave a tombstone for
/// each, and RocksDB takes quadratic time to flush those.
#[derive(Default)]
pub(crate) struct Filed {
    boots: BTreeMap<u64, Boot>,
}

#[derive(Default)]
struct Boot {
    low_water: u64,
    /// The last sequence of each record that is there.
    records: BTreeSet<u64>,
}

fn record_key(boot: u64, last: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&boot.to_be_bytes());
    key[8..].copy_from_slice(&last.to_be_bytes());
    key
}

impl Filed {
    /// Files what one log entry remembers, and deletes what it lets go of.
    pub(crate) fn write(&mut self, batch: &mut WriteBatch, family: &ColumnFamily, delta: &Delta) {
        let mut remembered: BTreeMap<u64, BTreeMap<u64, &Outcome>> = BTreeMap::new();
        for (boot, sequence, outcome) in &delta.remembered {
            remembered.entry(*boot).or_default().insert(*sequence, outcome);
        }
        for (boot, outcomes) in remembered {
            // An outcome is remembered once, so no other record ends with this sequence.
            let Some((last, _)) = outcomes.last_key_value() else { continue };
            let value = codec::encode_sealed(*last, &outcomes, outcomes.len() * 8 + 16);
            batch.put_cf(family, record_key(boot, *last), value);
            self.boots.entry(boot).or_default().records.insert(*last);
        }
        let mut marks: BTreeMap<u64, u64> = BTreeMap::new();
        for (boot, mark) in &delta.forgotten {
            let latest = marks.entry(*boot).or_default();
            *latest = (*latest).max(*mark);
        }
        for (boot, mark) in marks {
            let filed = self.boots.entry(boot).or_default();
            filed.low_water = mark;
            while let Some(last) = filed.records.first().copied().filter(|last| *last <= mark) {
                filed.records.pop_first();
                batch.delete_cf(family, record_key(boot, last));
            }
            batch.put_cf(family, boot.to_be_bytes(), codec::seal(mark, &mark.to_be_bytes()));
        }
    }

    /// Reads the window into a state that is being loaded.
    pub(crate) fn load(db: &DB, family: &ColumnFamily, state: &mut State) -> Result<Self, Error> {
        let mut filed = Self::default();
        for item in db.iterator_cf(family, IteratorMode::Start) {
            let (key, sealed) = item?;
            match read(&key, &sealed)? {
                (boot, Stored::Mark(mark)) => filed.boots.entry(boot).or_default().low_water = mark,
                (boot, Stored::Outcomes(last, outcomes)) => {
                    for (sequence, outcome) in outcomes {
                        state.load_outcome(boot, sequence, outcome);
                    }
                    filed.boots.entry(boot).or_default().records.insert(last);
                }
            }
        }
        // A record may begin below its boot's mark: what is forgotten must be so on every replica.
        for (boot, Boot { low_water, .. }) in &filed.boots {
            state.load_low_water(*boot, *low_water);
        }
        Ok(filed)
    }
}

/// A record of the window.
pub(crate) enum Stored {
    /// Up to where outcomes are forgotten.
    Mark(u64),
    /// Outcomes by sequence, filed under the last one.
    Outcomes(u64, BTreeMap<u64, Outcome>),
}

/// Reads a record, and of which boot it is.
pub(crate) fn read(key: &[u8], sealed: &[u8]) -> Result<(u64, Stored), Error> {
    let damaged = |detail: &str| Error::Damaged { what: "the retry window", detail: detail.to_owned() };
    let boot = key.get(..8).and_then(number).ok_or_else(|| damaged("a key of another length"))?;
    if key.len() == 8 {
        let mark = sealed.get(4..).and_then(number).ok_or_else(|| damaged("a mark of another length"))?;
        codec::open("a mark of the retry window", mark, sealed)?;
        return Ok((boot, Stored::Mark(mark)));
    }
    let last = number(&key[8..]).ok_or_else(|| damaged("a key of another length"))?;
    let outcomes = codec::decode("outcomes", codec::open("outcomes", last, sealed)?)?;
    Ok((boot, Stored::Outcomes(last, outcomes)))
}
