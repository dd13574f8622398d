//! Room on the disk. Writes are refused while there is still enough for everything that goes on without them: votes,
//! elections, flushes of what is in memory, snapshots.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::faults::Faults;
use crate::simulated::blocking;

/// Between looks. A fast disk takes a quarter of the reserve meanwhile, at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Room {
    /// Enough.
    Enough = 0,
    /// No more writes should begin.
    Low = 1,
    /// Nothing that can wait may be written.
    Critical = 2,
}

/// The room on this member's disk as of the last look.
#[derive(Debug)]
pub(crate) struct Space {
    folder: PathBuf,
    reserve_bytes: u64,
    room: AtomicU8,
}

impl Space {
    pub(crate) fn new(folder: &Path, reserve_bytes: u64) -> Self {
        Self { folder: folder.to_owned(), reserve_bytes, room: AtomicU8::new(Room::Enough as u8) }
    }

    pub(crate) fn room(&self) -> Room {
        match self.room.load(Ordering::Relaxed) {
            0 => Room::Enough,
            1 => Room::Low,
            _ => Room::Critical,
        }
    }

    /// Looks, for ever.
    pub(crate) async fn watch(self: Arc<Self>, id: u64, faults: Option<Arc<Faults>>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let pretended = faults.as_ref().and_then(|faults| faults.free_bytes(id));
            // A disk that hangs must not hang whoever sends heartbeats.
            let folder = self.folder.clone();
            let free = match pretended {
                Some(pretended) => Some(pretended),
                None => blocking(move || Ok(free_bytes(&folder))).await.ok().flatten(),
            };
            // What cannot be known is no reason to stop.
            let Some(free) = free else { continue };
            let (before, now) = (self.room(), judge(self.room(), free, self.reserve_bytes));
            self.room.store(now as u8, Ordering::Relaxed);
            match (before, now) {
                (Room::Enough, Room::Low | Room::Critical) => {
                    tracing::error!(free, reserve = self.reserve_bytes, "the disk is nearly full");
                }
                (Room::Low | Room::Critical, Room::Enough) => tracing::info!(free, "there is room on the disk again"),
                _ => {}
            }
        }
    }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Once low, there must be a quarter more than the reserve, so that writes do not begin and end with every flush.
fn judge(before: Room, free: u64, reserve: u64) -> Room {
    let enough = if before == Room::Enough { reserve } else { reserve.saturating_add(reserve / 4) };
    match free {
        free if free >= enough => Room::Enough,
        free if free >= reserve / 4 => Room::Low,
        _ => Room::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_end_before_the_disk_is_full_and_begin_again_when_there_is_room() {
        let check = |before: Room, free: u64, expected: Room| {
            assert_eq!(judge(before, free, 100), expected, "{free} free after {before:?}");
        };
        check(Room::Enough, 100, Room::Enough);
        check(Room::Enough, 99, Room::Low);
        check(Room::Low, 110, Room::Low);
        check(Room::Low, 125, Room::Enough);
        check(Room::Enough, 24, Room::Critical);
        check(Room::Critical, 26, Room::Low);
    }
}
