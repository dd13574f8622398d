//! A new cluster of one survivor, when the quorum of the old one is lost for good.
//!
//! Two entries are put at the end of the survivor's log: a membership of it alone, and the leap of the revision. When it
//! starts again it is its own quorum, elects itself, and so commits everything that its log holds: what was acknowledged
//! and reached it, and perhaps a little that never was. The cluster has another id from then on, by which every other
//! member of the old one is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use raft_log::{Identity, StateStore};
use raft_state::port::{Kind, Member};
use raft_state::{Command, Keyring, Revision};
use tokio::sync::oneshot;

use crate::disk::LogDisk;
use crate::machine::{decode_applied, encode};
use crate::record;
use crate::registry::Ids;
use crate::simulated::Dice;
use crate::types::{Address, Commands, Entry, LeaderId, LogId, Membership, Payload, Vote, log_id};

/// How far the revision leaps: above every one that the old cluster can have handed out.
pub const LEAP: Revision = 1_000_000_000;

/// Entries read at a time.
const READ_BYTES: usize = 4 << 20;

/// What a survivor holds.
#[derive(Clone, Debug)]
pub struct Survivor {
    /// The cluster that it belonged to.
    pub cluster_id: String,
    /// The survivor itself.
    pub member: Member,
    /// The other members, as far as it knows.
    pub others: Vec<Member>,
    /// Term of the last entry of its log.
    pub last_term: u64,
    /// Entries in its log. The survivor with the highest term, and then the most entries, has lost the least.
    pub last_index: u64,
    /// Entries that it knows to be acknowledged; those after may or may not be.
    pub committed_index: u64,
    /// The store's revision as far as it is applied here.
    pub revision: Revision,
}

/// What lies in a data folder, opened without starting a member.
struct Remains {
    _lock: raft_log::Folder,
    identity: Identity,
    log: LogDisk,
    last: LogId,
    members: BTreeMap<u64, Address>,
    voters: BTreeSet<u64>,
    revision: Revision,
}

/// Looks at what a stopped member holds. Nothing is changed.
///
/// # Errors
/// When the folder is in use, empty or damaged.
pub async fn survey(folder: &Path, keyring: Arc<dyn Keyring>) -> io::Result<Survivor> {
    let remains = open(folder, keyring).await?;
    survivor(&remains)
}

/// Makes a new cluster, with this id, of a stopped member. It may be repeated when it was interrupted.
///
/// # Errors
/// When the folder is in use, empty or damaged, or the disk refuses.
pub async fn recover(folder: &Path, keyring: Arc<dyn Keyring>, cluster_id: &str) -> io::Result<Survivor> {
    let remains = open(folder, keyring).await?;
    let survivor = survivor(&remains)?;
    let Remains { identity, log, last, members, .. } = remains;
    let id = identity.member;
    // First the fence: interrupted after this, the member finds nobody to speak to.
    Identity { cluster: cluster_id.to_owned(), ..identity }.write(folder)?;
    let mut address = members.get(&id).cloned().unwrap_or_default();
    address.kind = Kind::Master;
    let alone =
        Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, address)])).map_err(io::Error::other)?;
    let term = log.vote().map_or(0, |vote| vote.leader_id.term).max(last.leader_id.term) + 1;
    let ids = Ids { boot: Dice.id(), first: 1, low_water: 0 };
    let leap = record::join([&encode(ids, &[Command::Rebase { by: LEAP }])].into_iter(), false);
    let entries = [Payload::Membership(alone), Payload::Normal(Commands(leap))];
    let entries = entries.into_iter().zip(last.index + 1..);
    let entries = entries.map(|(payload, index)| Entry { log_id: log_id(term, id, index), payload }).collect();
    log.save_vote(Vote { leader_id: LeaderId { term, node_id: id }, committed: false }).await?;
    let (done, written) = oneshot::channel();
    log.append(entries, move |result| drop(done.send(result)));
    written.await.map_err(|_| io::Error::other("the thread that writes the log is gone"))??;
    Ok(survivor)
}

async fn open(folder: &Path, keyring: Arc<dyn Keyring>) -> io::Result<Remains> {
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let nothing = || io::Error::other(format!("{} holds no member's data", folder.display()));
        if !folder.join("log").exists() {
            return Err(nothing());
        }
        let lock = raft_log::Folder::lock(&folder)?;
        let identity = Identity::read(&folder)?.filter(|known| known.member != 0).ok_or_else(nothing)?;
        let log = LogDisk::open(&folder.join("log"), || {})?;
        let (_, last) = log.extent();
        let last = last.ok_or_else(nothing)?;
        let (_store, state, applied) = StateStore::open(&folder.join("state"), keyring)?;
        let position = decode_applied(&applied)?;
        let from = position.last_log_id.map_or(0, |id| id.index + 1);
        let latest = latest_membership(&log, from, last.index)?;
        let membership = latest.unwrap_or_else(|| position.last_membership.membership().clone());
        Ok(Remains {
            _lock: lock,
            identity,
            log,
            last,
            members: membership.nodes().map(|(id, address)| (*id, address.clone())).collect(),
            voters: membership.voter_ids().collect(),
            revision: state.snapshot().revision(),
        })
    });
    opened.await.map_err(io::Error::other)?
}

/// The last membership in the log from an index on.
fn latest_membership(log: &LogDisk, from: u64, last: u64) -> io::Result<Option<Membership>> {
    let mut latest = None;
    let mut next = from;
    while next <= last {
        let entries = log.read(next, last + 1, READ_BYTES)?;
        let Some(end) = entries.last() else { break };
        next = end.log_id.index + 1;
        for entry in entries {
            if let Payload::Membership(membership) = entry.payload {
                latest = Some(membership);
            }
        }
    }
    Ok(latest)
}

fn survivor(remains: &Remains) -> io::Result<Survivor> {
    let id = remains.identity.member;
    let member = |id: u64| {
        let address = remains.members.get(&id)?;
        Some(address.member(id, remains.voters.contains(&id)))
    };
    Ok(Survivor {
        cluster_id: remains.identity.cluster.clone(),
        member: member(id).ok_or_else(|| io::Error::other(format!("member {id} was not in the cluster any more")))?,
        others: remains.members.keys().filter(|other| **other != id).filter_map(|id| member(*id)).collect(),
        last_term: remains.last.leader_id.term,
        last_index: remains.last.index + 1,
        committed_index: remains.log.committed().map_or(0, |id| id.index + 1),
        revision: remains.revision,
    })
}
