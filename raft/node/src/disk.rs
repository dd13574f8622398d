//! The log on disk, in openraft's terms.
//!
//! openraft counts log indexes from 0; on disk they count from 1, so that "nothing" has a number too.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use bytes::Bytes;
use parking_lot::Mutex;
use raft_log::codec;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::journal::{Done, Journal, Written};
use crate::types::{Address, Commands, Entry, LeaderId, LogId, Membership, Payload, Vote, log_id};

/// A log entry as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredEntry {
    term: u64,
    leader: u64,
    payload: StoredPayload,
}

#[derive(Serialize, Deserialize)]
enum StoredPayload {
    Blank,
    Commands(Bytes),
    Membership(StoredVoters),
}

/// A membership as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredVoters {
    voters: Vec<BTreeSet<u64>>,
    members: BTreeMap<u64, Address>,
}

impl From<&Membership> for StoredVoters {
    fn from(membership: &Membership) -> Self {
        Self {
            voters: membership.get_joint_config().clone(),
            members: membership.nodes().map(|(id, address)| (*id, address.clone())).collect(),
        }
    }
}

impl TryFrom<StoredVoters> for Membership {
    type Error = io::Error;

    fn try_from(stored: StoredVoters) -> io::Result<Self> {
        if stored.voters.is_empty() && stored.members.is_empty() {
            return Ok(Self::default());
        }
        Self::new(stored.voters, stored.members).map_err(io::Error::other)
    }
}

/// A log id as it is stored: term, leader, index.
pub(crate) type StoredId = (u64, u64, u64);

pub(crate) fn stored_id(id: &LogId) -> StoredId {
    (id.leader_id.term, id.leader_id.node_id, id.index)
}

pub(crate) fn loaded_id((term, leader, index): StoredId) -> LogId {
    log_id(term, leader, index)
}

fn encode_entry(entry: &Entry) -> (u64, Bytes) {
    let size = crate::log::weight(entry);
    let payload = match &entry.payload {
        Payload::Blank => StoredPayload::Blank,
        Payload::Normal(commands) => StoredPayload::Commands(commands.0.clone()),
        Payload::Membership(membership) => StoredPayload::Membership(membership.into()),
    };
    let (term, leader, index) = stored_id(&entry.log_id);
    (index + 1, codec::encode_sized(&StoredEntry { term, leader, payload }, size).into())
}

fn decode_entry(place: u64, record: &[u8]) -> io::Result<Entry> {
    let stored: StoredEntry = codec::decode("an entry of the log", record)?;
    let payload = match stored.payload {
        StoredPayload::Blank => Payload::Blank,
        StoredPayload::Commands(bytes) => Payload::Normal(Commands(bytes)),
        StoredPayload::Membership(voters) => Payload::Membership(voters.try_into()?),
    };
    Ok(Entry { log_id: log_id(stored.term, stored.leader, place - 1), payload })
}

/// The log and vote of this member on its disk.
pub(crate) struct LogDisk {
    journal: Box<dyn Journal>,
    found: Mutex<Found>,
}

/// What was there when the log was opened, and the vote since.
struct Found {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
}

impl LogDisk {
    /// Opens the log in a folder. Blocks. `before_write` is called before each write, on the thread that writes.
    pub(crate) fn open(folder: &Path, before_write: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (journal, recovered) = Written::open(folder, before_write)?;
        Self::on(Box::new(journal), recovered)
    }

    /// On a journal in which this was found.
    pub(crate) fn on(journal: Box<dyn Journal>, recovered: raft_log::Recovered) -> io::Result<Self> {
        let found = Found::read(&*journal, recovered)?;
        Ok(Self { journal, found: Mutex::new(found) })
    }

    /// Has every sync told how long it took.
    pub(crate) fn on_sync(&self, told: raft_log::OnSync) {
        self.journal.on_sync(told);
    }

    pub(crate) fn vote(&self) -> Option<Vote> {
        self.found.lock().vote
    }

    /// What the log was known to be committed up to when it was opened.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.found.lock().committed
    }

    /// The last purged entry and the last entry, as of opening.
    pub(crate) fn extent(&self) -> (Option<LogId>, Option<LogId>) {
        let found = self.found.lock();
        (found.purged, found.last)
    }

    /// Entries `start..end`, up to a limit of bytes. Blocks.
    pub(crate) fn read(&self, start: u64, end: u64, limit: usize) -> io::Result<Vec<Entry>> {
        let records = self.journal.read(start + 1, end.saturating_add(1), limit)?;
        records.iter().map(|(place, record)| decode_entry(*place, record)).collect()
    }

    /// Looks through the log from an index on: bytes read, and the index to go on at. Blocks.
    pub(crate) fn look(&self, from: u64, bytes_max: u64) -> Result<(u64, Option<u64>), raft_log::Error> {
        self.journal.look(from, bytes_max)
    }

    /// Appends; `done` is called when the entries are on the disk, or will never be.
    pub(crate) fn append(&self, entries: Vec<Entry>, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.journal.append(Box::new(move || entries.iter().map(encode_entry).collect()), Box::new(done));
    }

    pub(crate) async fn save_vote(&self, vote: Vote) -> io::Result<()> {
        let bytes = codec::encode(&(vote.leader_id.term, vote.leader_id.node_id, vote.committed));
        done(|done| self.journal.save_vote(bytes, done)).await?;
        self.found.lock().vote = Some(vote);
        Ok(())
    }

    /// A hint for the next start: nobody waits for it.
    pub(crate) fn save_committed(&self, committed: &LogId) {
        self.journal.save_committed(codec::encode(&stored_id(committed)));
    }

    pub(crate) async fn truncate_after(&self, last: Option<u64>) -> io::Result<()> {
        done(|done| self.journal.truncate_after(last.map_or(0, |index| index + 1), done)).await
    }

    pub(crate) async fn purge(&self, upto: LogId) -> io::Result<()> {
        done(|done| self.journal.purge(upto.index + 1, codec::encode(&stored_id(&upto)), done)).await
    }
}

/// Waits for what a write tells when it is done.
async fn done(write: impl FnOnce(Done)) -> io::Result<()> {
    let (told, done) = oneshot::channel();
    // Whoever asked may have stopped.
    write(Box::new(move |written| drop(told.send(written))));
    done.await.map_err(|_| io::Error::other("the thread that writes the log is gone"))?
}

impl Found {
    fn read(journal: &dyn Journal, recovered: raft_log::Recovered) -> io::Result<Self> {
        let vote: Option<(u64, u64, bool)> =
            recovered.vote.map(|bytes| codec::decode("the vote", &bytes)).transpose()?;
        let committed: Option<StoredId> =
            recovered.committed.map(|bytes| codec::decode("the committed index", &bytes)).transpose()?;
        let purged: Option<StoredId> =
            recovered.purged.map(|(_, bytes)| codec::decode("the purged index", &bytes)).transpose()?;
        let purged = purged.map(loaded_id);
        let last = match recovered.range {
            None => purged,
            Some((_, last)) => {
                let records = journal.read(last, last + 1, usize::MAX)?;
                records.first().map(|(place, record)| decode_entry(*place, record)).transpose()?.map(|e| e.log_id)
            }
        };
        let vote = vote.map(|(term, node_id, committed)| Vote { leader_id: LeaderId { term, node_id }, committed });
        // Earlier builds wrote the hint ahead of the entries it speaks of. What it says is taken only with them; up to what was
        // purged it says nothing new.
        let committed = match committed.map(loaded_id) {
            Some(id) if purged.is_none_or(|purged| purged.index < id.index) => {
                let place = id.index + 1;
                let records = journal.read(place, place + 1, usize::MAX)?;
                let entry = records.first().map(|(place, record)| decode_entry(*place, record)).transpose()?;
                entry.map(|entry| entry.log_id).filter(|found| *found == id)
            }
            other => other.and(purged),
        };
        Ok(Self { vote, committed, purged, last })
    }
}

#[cfg(test)]
mod tests {
    use raft_state::port::Kind;

    use super::*;

    #[test]
    fn how_far_the_log_is_committed_counts_only_with_the_very_entry() {
        let folder = tempfile::tempdir().expect("a folder");
        for (what, said, counts) in [
            ("an entry that is there", (4, 1, 2), true),
            ("one whose place another entry has", (5, 2, 2), false),
            ("one that is not there yet", (4, 1, 3), false),
        ] {
            let folder = folder.path().join(what);
            let (journal, _) = Written::open(&folder, || ()).expect("a log");
            let entries = (0..=2).map(|index| Entry { log_id: log_id(4, 1, index), payload: Payload::Blank });
            let records = entries.map(|entry| encode_entry(&entry)).collect();
            journal.append(Box::new(move || records), Box::new(|written| written.expect("a disk")));
            journal.save_committed(codec::encode::<StoredId>(&said));
            drop(journal);
            let committed = LogDisk::open(&folder, || ()).expect("a log").committed();
            assert_eq!(committed, counts.then(|| loaded_id(said)), "{what}");
        }
    }

    #[test]
    fn entries_come_back_as_they_were_stored() {
        let address = Address {
            name: "m1".to_owned(),
            peer: "h:1".to_owned(),
            kind: Kind::Standby,
            birth: 7,
            ..Address::default()
        };
        let membership = Membership::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, address)])).expect("valid");
        for payload in
            [Payload::Blank, Payload::Normal(Commands(Bytes::from_static(b"abc"))), Payload::Membership(membership)]
        {
            let entry = Entry { log_id: log_id(3, 1, 9), payload };
            let (place, record) = encode_entry(&entry);
            assert_eq!(place, 10);
            assert_eq!(decode_entry(place, &record).expect("an entry"), entry);
        }
    }
}
