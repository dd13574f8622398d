//! Snapshots on this member's disk: checkpoints of the state, which are folders of hard links.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;
use tokio::time::Instant;

use openraft::alias::SnapshotOf;
use parking_lot::Mutex;
use raft_log::Examined;
use raft_state::Keyring;

use crate::ground::StateDisk;
use crate::host;
use crate::machine::decode_applied;
use crate::metrics::Metrics;
use crate::simulated::{beside, blocking, is_simulated};
use crate::types::{SnapshotMeta, TypeConfig};

/// A folder that holds the state as of one applied index. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// A newer one has taken its place: the last user removes it.
    obsolete: AtomicBool,
    /// What it holds, when it was received and checked.
    examined: Mutex<Option<Examined>>,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire)
            && let Err(e) = fs::remove_dir_all(&self.path)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("removing the old snapshot {}: {e}", self.path.display());
        }
    }
}

impl Checkpoint {
    fn at(path: PathBuf) -> Self {
        Self(Arc::new(Folder { path, obsolete: AtomicBool::new(false), examined: Mutex::default() }))
    }

    /// One that came from a peer: every file is what the peer read. Now it is read whole, as a start would, for what the peer
    /// read may be damaged. Installing it moves it away.
    pub(crate) async fn received(
        path: PathBuf,
        store: Arc<dyn StateDisk>,
        keyring: Arc<dyn Keyring>,
    ) -> io::Result<Self> {
        let checkpoint = Self::at(path);
        checkpoint.retire();
        let examined = checkpoint.examine(store, keyring).await?;
        *checkpoint.0.examined.lock() = Some(examined);
        Ok(checkpoint)
    }

    /// Reads it whole, on a thread of its own.
    pub(crate) async fn examine(&self, store: Arc<dyn StateDisk>, keyring: Arc<dyn Keyring>) -> io::Result<Examined> {
        let (path, (done, examined)) = (self.path().to_owned(), oneshot::channel());
        beside("examine", move || {
            host::be_ordinary();
            // Whoever asked may have given up.
            drop(done.send(store.examine(&path, keyring)));
        })?;
        Ok(examined.await.map_err(io::Error::other)??)
    }

    /// What a received one says it holds.
    pub(crate) fn holds(&self) -> io::Result<Option<SnapshotMeta>> {
        self.0.examined.lock().as_ref().map(|examined| decode_applied(examined.applied())).transpose()
    }

    /// What a received one holds; once.
    pub(crate) fn take_examined(&self) -> Option<Examined> {
        self.0.examined.lock().take()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    fn retire(&self) {
        self.0.obsolete.store(true, Ordering::Release);
    }
}

type Snapshot = SnapshotOf<TypeConfig, Checkpoint>;

/// The checkpoints of this member.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    store: Arc<dyn StateDisk>,
    latest: Mutex<Option<(SnapshotMeta, Checkpoint)>>,
    /// The state was replaced by a snapshot of another member, and there is no checkpoint of it yet.
    outdated: AtomicBool,
    metrics: Arc<Metrics>,
    /// One at a time.
    building: tokio::sync::Mutex<()>,
}

impl Checkpoints {
    /// Takes up the latest complete checkpoint of an earlier life and removes what else lies about. Blocks.
    pub(crate) fn open(folder: &Path, store: Arc<dyn StateDisk>, metrics: Arc<Metrics>) -> io::Result<Self> {
        if is_simulated() {
            fs::create_dir_all(folder)?;
        } else {
            raft_log::make_folder(folder)?;
        }
        let mut complete: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let index = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix("snapshot-"));
            match index.and_then(|index| index.parse().ok()) {
                Some(index) => complete.push((index, path)),
                None => fs::remove_dir_all(&path)?,
            }
        }
        complete.sort();
        let latest = match complete.pop() {
            Some((_, path)) => Some((decode_applied(&store.inspect(&path)?)?, Checkpoint::at(path))),
            None => None,
        };
        for (_, path) in complete {
            fs::remove_dir_all(path)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            store,
            latest: Mutex::new(latest),
            outdated: AtomicBool::new(false),
            metrics,
            building: tokio::sync::Mutex::new(()),
        })
    }

    /// The latest checkpoint; made now when the state has been replaced since.
    pub(crate) async fn current(&self) -> io::Result<Option<Snapshot>> {
        if self.outdated.load(Ordering::Acquire) {
            return self.build().await.map(Some);
        }
        let latest = self.latest.lock().clone();
        Ok(latest.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }

    /// The one that is there.
    pub(crate) fn latest(&self) -> Option<Checkpoint> {
        self.latest.lock().as_ref().map(|(_, checkpoint)| checkpoint.clone())
    }

    /// The state was replaced: the checkpoints of the old one lead nowhere.
    pub(crate) fn outdate(&self) {
        self.outdated.store(true, Ordering::Release);
        if let Some((_, old)) = self.latest.lock().take() {
            old.retire();
        }
    }

    /// Makes a checkpoint while apply goes on. What it holds, it says itself.
    pub(crate) async fn build(&self) -> io::Result<Snapshot> {
        let _one_at_a_time = self.building.lock().await;
        let (folder, store) = (self.folder.clone(), self.store.clone());
        let started = Instant::now();
        self.outdated.store(false, Ordering::Release);
        let built = blocking(move || build(&folder, &*store)).await;
        let (meta, checkpoint) = match built {
            Ok(built) => built,
            Err(e) => {
                self.outdated.store(true, Ordering::Release);
                return Err(e);
            }
        };
        self.metrics.snapshot_build_us.record_elapsed(started);
        let old = self.latest.lock().replace((meta.clone(), checkpoint.clone()));
        if let Some((_, old)) = old
            && old.path() != checkpoint.path()
        {
            old.retire();
        }
        tracing::info!(index = meta.last_log_id.map(|id| id.index), "a snapshot is made");
        Ok(Snapshot { meta, snapshot: checkpoint })
    }
}

fn build(folder: &Path, store: &dyn StateDisk) -> io::Result<(SnapshotMeta, Checkpoint)> {
    let partial = folder.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let meta = decode_applied(&store.checkpoint(&partial)?)?;
    let path = folder.join(format!("snapshot-{:020}", meta.last_log_id.map_or(0, |id| id.index)));
    if path.exists() {
        // Nothing was applied since: the one that is there is as good, and perhaps in use.
        fs::remove_dir_all(&partial)?;
    } else {
        fs::rename(&partial, &path)?;
        File::open(folder)?.sync_all()?;
    }
    Ok((meta, Checkpoint::at(path)))
}
