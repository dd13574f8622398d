//! The scrub: what lies on the disk and nobody reads (log, state, snapshot, and the database's journals) is read and checked
//! in the background, so slowly that nobody notices, and so before it is needed. The hash over what lives is counted anew, over
//! the state in memory and over the latest snapshot. Damage that it finds is this member's own, and it steps back
//! ([`crate::retreat`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raft_log::{Error, Reader, StateStore};
use raft_state::Recount;

use crate::checkpoint::Checkpoints;
use crate::config::Scrub;
use crate::disk::LogDisk;
use crate::metrics::{Metrics, increment};
use crate::retreat::Alarm;
use crate::view::View;

/// Read at a time. Little, for whoever ends this member waits for it.
const PIECE_BYTES: u64 = 256 << 10;

/// So many times faster than the disk memory is read, for the state as of one moment is held meanwhile.
const MEMORY_RATE: u64 = 64;

/// Reads everything, again and again.
pub(crate) struct Scrubber {
    pub(crate) config: Scrub,
    /// This member's data folder.
    pub(crate) folder: PathBuf,
    pub(crate) log: Arc<LogDisk>,
    pub(crate) state: Arc<StateStore>,
    pub(crate) view: Arc<View>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) alarm: Alarm,
}

impl Scrubber {
    /// Runs for as long as the member does. The first pass comes late: a start has read log and state whole.
    pub(crate) async fn run(self) {
        if self.config.every.is_zero() || self.config.bytes_per_second == 0 {
            return;
        }
        loop {
            tokio::time::sleep(self.config.every).await;
            match self.pass().await {
                Ok(()) => {
                    increment(&self.metrics.scrub_passes);
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    self.metrics.scrub_completed_s.store(now.as_secs(), Ordering::Relaxed);
                }
                Err(error) => {
                    increment(&self.metrics.scrub_failures);
                    if Error::is_damage_in(&error) {
                        self.alarm.raise(format!("found by the scrub: {error}"));
                    } else {
                        tracing::error!("the scrub was broken off: {error}");
                    }
                }
            }
        }
    }

    /// Reads everything once.
    async fn pass(&self) -> io::Result<()> {
        self.journals(self.folder.join("log/rocksdb")).await?;
        self.log().await?;
        let state = self.state.clone();
        self.journals(blocking(move || state.folder()).await?).await?;
        let (store, mut place) = (self.state.clone(), raft_log::Place::default());
        self.pieces(move || store.look(&mut place, PIECE_BYTES).map(|piece| (piece.bytes, piece.is_last))).await?;
        self.memory().await?;
        self.checkpoint().await
    }

    /// What is served: the rolling hash follows what was written, and says nothing of what memory has made of it since.
    async fn memory(&self) -> io::Result<()> {
        let (state, mut sum) = (self.view.snapshot(), Recount::default());
        let rate = self.config.bytes_per_second.saturating_mul(MEMORY_RATE);
        self.pieces_at(rate, move || {
            let before = sum.bytes;
            state.recount(&mut sum, PIECE_BYTES);
            if sum.is_whole && sum.hash != state.sum() {
                let detail = format!("what lives in it has hash {:032x}, not {:032x}", sum.hash, state.sum());
                return Err(Error::Damaged { what: "the state in memory", detail });
            }
            Ok((sum.bytes - before, sum.is_whole))
        })
        .await
    }

    /// Of a database's folder; what the system remembers of it is forgotten first.
    async fn journals(&self, folder: PathBuf) -> io::Result<()> {
        let found = blocking(move || {
            raft_log::forget_cached(&folder)?;
            raft_log::journals(&folder)
        });
        for path in found.await? {
            let mut block = 0;
            self.pieces(move || {
                let bytes = raft_log::check_block(&path, block)?;
                block += 1;
                Ok((bytes, bytes == 0))
            })
            .await?;
        }
        Ok(())
    }

    async fn log(&self) -> io::Result<()> {
        let (log, mut from) = (self.log.clone(), 0);
        self.pieces(move || {
            let (bytes, next) = log.look(from, PIECE_BYTES)?;
            from = next.unwrap_or(from);
            Ok((bytes, next.is_none()))
        })
        .await
    }

    /// The latest one, which stays where it is until it is read.
    async fn checkpoint(&self) -> io::Result<()> {
        let Some(checkpoint) = self.checkpoints.latest() else { return Ok(()) };
        self.journals(checkpoint.path().to_owned()).await?;
        let path = checkpoint.path().to_owned();
        let open = move || Reader::open(&path);
        let (reader, mut place) = (blocking(open).await?, raft_log::Place::default());
        let read = self.pieces(move || reader.look(&mut place, PIECE_BYTES).map(|piece| (piece.bytes, piece.is_last)));
        read.await.map_err(|error| in_snapshot(error, checkpoint.path()))
    }

    /// Does one piece after the other until the last, at the rate of the disk.
    async fn pieces(&self, work: impl FnMut() -> Result<(u64, bool), Error> + Send + 'static) -> io::Result<()> {
        self.pieces_at(self.config.bytes_per_second, work).await
    }

    /// The same at so many bytes a second: rests after each piece as long as it should have taken.
    async fn pieces_at(
        &self,
        rate: u64,
        mut work: impl FnMut() -> Result<(u64, bool), Error> + Send + 'static,
    ) -> io::Result<()> {
        loop {
            let (bytes, is_last);
            (work, (bytes, is_last)) = blocking(move || work().map(|done| (work, done))).await?;
            self.metrics.scrub_bytes.fetch_add(bytes, Ordering::Relaxed);
            if is_last {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs_f64(bytes as f64 / rate as f64)).await;
        }
    }
}

/// Says which of the two databases with the same records it was.
fn in_snapshot(error: io::Error, path: &Path) -> io::Error {
    if Error::is_damage_in(&error) {
        let detail = format!("{}: {error}", path.display());
        return Error::Damaged { what: "the snapshot", detail }.into();
    }
    error
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> io::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(io::Error::other)??)
}
