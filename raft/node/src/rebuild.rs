//! A fenced member begins anew: the others take it in under a new id, as they do a wiped one, and only then is what it had
//! set aside. While they do not (no quorum is left, or it is alone) everything stays where it is, for people to look at.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use raft_log::{Error, Folder, Identity};

use crate::config::NodeConfig;
use crate::disk::LogDisk;
use crate::fenced;
use crate::members::admission;
use crate::peer::dial::Dialer;
use crate::simulated::{Dice, blocking};
use crate::types::LogId;

/// What makes up a member's memory, in its data folder.
const MEMORY: [&str; 5] = ["log", "state", "snapshots", "incoming", "identity"];

/// Where it is set aside to, in the same folder. The next rebuild overwrites it; people may remove it.
const ASIDE: &str = "damaged";

/// Why what lies in a data folder is not opened.
pub(crate) enum Trouble {
    /// It is damaged, or was found wrong before.
    Fenced(String),
    /// Anything else.
    Other(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if Error::is_damage_in(&error) { Self::Fenced(error.to_string()) } else { Self::Other(error) }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        io::Error::from(error).into()
    }
}

/// Log and state must have been left by the same life: the log reaches back to what the state was flushed at, and a member
/// whose state was applied from a log has voted, or heard of a vote.
pub(crate) fn check_together(log: &LogDisk, applied: Option<LogId>) -> Result<(), Error> {
    let index = |id: Option<LogId>| id.map(|id| id.index);
    let (purged, applied) = (index(log.extent().0), index(applied));
    if purged > applied {
        let detail = format!("it was applied up to {applied:?}, and the log begins after {purged:?}");
        return Err(Error::Damaged { what: "the state", detail });
    }
    // A restored member has a state as of the first index, and no log.
    if log.vote().is_none() && applied > Some(0) {
        let detail = format!("it is empty, and the state was applied up to {applied:?}");
        return Err(Error::Damaged { what: "the log", detail });
    }
    Ok(())
}

/// Makes a fenced folder that of a new member, which knows nothing yet. Waits until the others take it in.
pub(crate) async fn begin_anew(
    config: &Arc<NodeConfig>,
    dialer: impl FnOnce(&Identity) -> Dialer,
    why: &str,
) -> Result<(), Trouble> {
    if config.initial_members.len() < 2 && config.peers.is_empty() {
        let advice = "there is no other member to rebuild it from; restore a backup into an empty folder";
        return Err(Trouble::Fenced(format!("{why}; {advice}")));
    }
    tracing::error!("this member is fenced: {why}; it serves nothing until the others take it in anew");
    let (folder, reason, configured) = (config.data_dir.clone(), why.to_owned(), config.cluster_id.clone());
    let (lock, cluster) = blocking(move || {
        let lock = Folder::lock(&folder)?;
        fenced::mark(&folder, &reason)?;
        // A recovered cluster has another id than it was configured with.
        let known = Identity::read(&folder).ok().flatten();
        Ok((lock, known.map_or(configured, |known| known.cluster)))
    })
    .await?;
    // Another birth than the old one's: nobody must take it for the member that it was.
    let asking = Identity { cluster, member: config.id, birth: Dice.id() };
    let admitted = admission::ask_to_be_taken_in(config, &asking, &dialer(&asking)).await;
    let folder = config.data_dir.clone();
    blocking(move || {
        set_aside(&folder)?;
        admitted.write(&folder)?;
        fenced::clear(&folder)?;
        drop(lock);
        Ok(())
    })
    .await?;
    Ok(())
}

/// May be interrupted and begun again: the marker is there until all of it is done.
fn set_aside(folder: &Path) -> io::Result<()> {
    let aside = folder.join(ASIDE);
    fs::create_dir_all(&aside)?;
    for name in MEMORY {
        let (from, to) = (folder.join(name), aside.join(name));
        if !from.exists() {
            continue;
        }
        if to.is_dir() {
            fs::remove_dir_all(&to)?;
        }
        fs::rename(from, to)?;
    }
    fs::File::open(&aside)?.sync_all()?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_whole_and_an_older_one_makes_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        for life in ["first", "second"] {
            fs::create_dir_all(path.join("log/rocksdb")).expect("a folder");
            fs::write(path.join("log/rocksdb/000001.log"), life).expect("a file");
            fs::write(path.join("identity"), life).expect("a file");
            fs::write(path.join("in-use-by"), "1").expect("a file");
            set_aside(path).expect("set aside");
            set_aside(path).expect("again, after an interruption");
            assert_eq!(fs::read_to_string(path.join("damaged/log/rocksdb/000001.log")).expect("a file"), life);
            assert_eq!(fs::read_to_string(path.join("damaged/identity")).expect("a file"), life);
            assert!(!path.join("log").exists() && path.join("in-use-by").exists());
        }
    }
}
