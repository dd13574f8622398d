//! The data folder of a member of a new cluster that does not begin empty: what a restore makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_log::{Identity, StateStore};
use raft_state::port::Member;
use raft_state::record::Scalars;
use raft_state::{Delta, Keyring, Lease, Place, Record, RosterChange, State};

use crate::machine::encode_applied;
use crate::types::{Address, Membership, StoredMembership, log_id};

/// Versions written at a time.
const BATCH: usize = 1000;

/// What a cluster begins with.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    /// The small numbers; the hash is computed here.
    pub scalars: Scalars,
    /// Live versions, ascending by place.
    pub versions: Vec<(Place, Record)>,
    /// Leases by id.
    pub leases: Vec<(i64, Lease)>,
}

/// Why no folder was made. Nothing that was there before is touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// Something is there already.
    #[error("{0} exists: a restore never overwrites anything")]
    Exists(PathBuf),
    /// A value that the keys at hand do not open.
    #[error("the value of {key} does not open with the keys given: they are not those of the cluster that it is from")]
    Unsealable {
        /// Of which key.
        key: String,
    },
    /// A membership that makes no sense.
    #[error("the new cluster's members: {0}")]
    Members(String),
    /// The disk says no.
    #[error("{path}: {source}", path = .path.display())]
    Disk {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes the data folder of one of the first voters. All of them must get the same members and the same seed: then the
/// cluster begins as if each had installed the same snapshot as its first log entry. The folder appears whole or not at
/// all. Blocks.
///
/// # Errors
/// [`SeedError`]; the folder is then not there.
pub fn plant(folder: &Path, members: &[Member], keyring: Arc<dyn Keyring>, seed: &Seed) -> Result<(), SeedError> {
    let disk = |source| SeedError::Disk { path: folder.to_owned(), source };
    if folder.exists() {
        return Err(SeedError::Exists(folder.to_owned()));
    }
    let hash = hash(keyring.clone(), seed)?;
    let birth = birth(hash, members);
    let membership = membership(members, birth)?;
    let partial = folder.with_extension("restoring");
    if partial.exists() {
        // Of a restore that was interrupted: nobody has ever started from it.
        fs::remove_dir_all(&partial).map_err(disk)?;
    }
    fs::create_dir_all(&partial).map_err(disk)?;
    // Which cluster and which member it is, its first start says.
    let identity = Identity { cluster: String::new(), member: 0, birth };
    let written = write(&partial, membership, keyring, seed, hash)
        .and_then(|()| identity.write(&partial).map_err(|error| disk(error.into())))
        .and_then(|()| fs::rename(&partial, folder).and_then(|()| sync_parent(folder)).map_err(disk));
    if written.is_err() {
        // What is left of it is in nobody's way.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

/// Of every folder of this restore, so that each of them is known to the others, and one that was emptied since is not.
fn birth(hash: u128, members: &[Member]) -> u64 {
    let ids = members.iter().fold(hash, |mixed, member| mixed.rotate_left(7) ^ u128::from(member.id));
    let halves = (ids ^ (ids >> 64)) & u128::from(u64::MAX);
    u64::try_from(halves).expect("64 bits").max(1)
}

fn membership(members: &[Member], birth: u64) -> Result<Membership, SeedError> {
    let voters: BTreeSet<u64> = members.iter().map(|member| member.id).collect();
    if voters.len() != members.len() || voters.is_empty() || voters.contains(&0) {
        return Err(SeedError::Members("each needs an id of its own, from 1".to_owned()));
    }
    let address = |member: &Member| (member.id, Address { birth, ..Address::from(member) });
    let nodes: BTreeMap<u64, Address> = members.iter().map(address).collect();
    Membership::new(vec![voters], nodes).map_err(|error| SeedError::Members(error.to_string()))
}

fn write(
    root: &Path,
    membership: Membership,
    keyring: Arc<dyn Keyring>,
    seed: &Seed,
    hash: u128,
) -> Result<(), SeedError> {
    let disk = |error: raft_log::Error| SeedError::Disk { path: root.to_owned(), source: error.into() };
    let first = log_id(0, 0, 0);
    // The first members' ids are given out.
    let last_id = membership.nodes().map(|(id, _)| *id).max().map(RosterChange::LastId);
    let mark = encode_applied(&first, &StoredMembership::new(Some(first), membership));
    let scalars = Scalars { hash, ..seed.scalars };
    let (store, ..) = StateStore::open(&root.join("state"), keyring).map_err(disk)?;
    for versions in seed.versions.chunks(BATCH) {
        let delta = Delta { records: versions.to_vec(), scalars, ..Delta::default() };
        store.write(&delta, &mark).map_err(disk)?;
    }
    let leases = seed.leases.iter().map(|(id, lease)| (*id, Some(*lease))).collect();
    let roster = last_id.into_iter().collect();
    store.write(&Delta { leases, roster, scalars, ..Delta::default() }, &mark).map_err(disk)?;
    store.flush().map_err(disk)
}

/// The hash over what is to be there, which also shows that every sealed value opens.
fn hash(keyring: Arc<dyn Keyring>, seed: &Seed) -> Result<u128, SeedError> {
    let mut state = State::new(keyring);
    for (place, record) in &seed.versions {
        let key = || String::from_utf8_lossy(&record.key).into_owned();
        state.load_record(*place, record).map_err(|_| SeedError::Unsealable { key: key() })?;
    }
    for (id, lease) in &seed.leases {
        state.load_lease(*id, *lease);
    }
    Ok(state.snapshot().hash())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}
