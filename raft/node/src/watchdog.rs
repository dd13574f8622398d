//! A leader whose disk is stuck goes on heartbeating, and so keeps its office while nothing commits. So does one on a network
//! that comes and goes: of its heartbeats enough get through, while each entry that is lost waits for TCP to try again. The
//! watchdog gives the office away: to another member, or to whoever the others elect.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use raft_state::port::Standing;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::Timing;
use crate::exit::Exit;
use crate::silence;
use crate::standing::successor;
use crate::types::{Fatal, LogId, Raft, TypeConfig};

type RaftMetrics = openraft::RaftMetrics<TypeConfig>;

/// Writes of the log on their way to the disk.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    inner: Mutex<(u64, BTreeMap<u64, Instant>)>,
}

impl Flushes {
    /// A write begins; the ticket ends it.
    pub(crate) fn begin(&self) -> u64 {
        let (next, pending) = &mut *self.inner.lock();
        *next += 1;
        pending.insert(*next, Instant::now());
        *next
    }

    /// A write is on the disk, or failed. How long it took.
    pub(crate) fn end(&self, ticket: u64) -> Duration {
        let begun = self.inner.lock().1.remove(&ticket);
        begun.map(|at| at.elapsed()).unwrap_or_default()
    }

    /// The oldest write on its way.
    fn oldest(&self) -> Option<u64> {
        self.inner.lock().1.first_key_value().map(|(ticket, _)| *ticket)
    }
}

/// One thing that may keep a member waiting: what it was at the last look, if it waited then, and how long it has been.
#[derive(Default)]
struct Wait {
    seen: Option<Option<u64>>,
    lasts: Duration,
}

impl Wait {
    fn look(&mut self, now: Option<u64>, waits: bool, awake: Duration) -> Duration {
        self.lasts = if waits && self.seen == Some(now) { self.lasts + awake } else { Duration::ZERO };
        self.seen = waits.then_some(now);
        self.lasts
    }
}

/// What a member sees of itself at one look, as indexes of its log.
#[derive(Clone, Copy, Default)]
struct Look {
    /// Whether it leads, with a quorum or without: nobody else answers for what is not committed.
    in_office: bool,
    /// The oldest write on its way to the disk, by its ticket.
    oldest_flush: Option<u64>,
    applied: Option<u64>,
    committed: Option<u64>,
    last: Option<u64>,
}

/// How long a member has been waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Late {
    /// For its disk: a write that does not end, or apply that stands still although there is something to apply.
    disk: Duration,
    /// For a quorum: nothing is committed although there is something to commit.
    quorum: Duration,
}

/// How long the same thing has kept this member waiting while it was awake. A process that was stopped, or that its
/// machine did not run, finds its writes late on its return; its disk is not to blame for that.
struct Patience {
    look_every: Duration,
    last_look: Instant,
    flush: Wait,
    apply: Wait,
    commit: Wait,
}

impl Patience {
    fn new(look_every: Duration, now: Instant) -> Self {
        let (flush, apply, commit) = (Wait::default(), Wait::default(), Wait::default());
        Self { look_every, last_look: now, flush, apply, commit }
    }

    fn look(&mut self, now: Instant, look: Look) -> Late {
        let awake = now.saturating_duration_since(self.last_look).min(self.look_every * 2);
        self.last_look = now;
        let flush = self.flush.look(look.oldest_flush, look.oldest_flush.is_some(), awake);
        let apply = self.apply.look(look.applied, look.applied < look.committed, awake);
        let quorum = self.commit.look(look.committed, look.in_office && look.committed < look.last, awake);
        Late { disk: flush.max(apply), quorum }
    }
}

/// In election timeouts: a leader that gets nothing committed for so long, though it hears a quorum, looks for another. As long as
/// followers wait for one that is silent: to clients it is the same.
const UNCOMMITTED_MAX: u32 = 2;
/// So often a member may give its office away for that, within [`SPAN`]: where all are slow, no other leader would fare better.
const ATTEMPTS: usize = 3;
const SPAN: Duration = Duration::from_secs(60);

/// When a member gave its office away, or tried to, because nothing was committed.
#[derive(Default)]
struct Attempts {
    made: VecDeque<Instant>,
}

impl Attempts {
    /// Whether there may be one more, which then counts.
    fn begin(&mut self, now: Instant) -> bool {
        while self.made.front().is_some_and(|at| now.saturating_duration_since(*at) >= SPAN) {
            self.made.pop_front();
        }
        let may = self.made.len() < ATTEMPTS;
        if may {
            self.made.push_back(now);
        }
        may
    }
}

/// Watches what a leader writes: its log, the state that it applies to, and what of the log a quorum has.
pub(crate) struct Watchdog {
    pub(crate) raft: Raft,
    pub(crate) flushes: Arc<Flushes>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) timing: Timing,
    /// Set to leave the others in peace for one election.
    pub(crate) cedes: Arc<AtomicBool>,
    pub(crate) exit: Exit,
}

impl Watchdog {
    /// For as long as the member runs.
    ///
    /// A leader that was deposed while its disk is stuck cannot even write that down, and goes on calling itself leader. Its
    /// standing knows better: no quorum answers it. It harms nobody, and goes on when its disk does.
    pub(crate) async fn run(self) {
        let (stall, uncommitted_max) = (self.timing.fsync_stall, self.timing.election_max * UNCOMMITTED_MAX);
        let metrics = self.raft.metrics();
        let look_every = (stall / 10).min(uncommitted_max / 6).max(Duration::from_millis(5));
        let mut ticks = tokio::time::interval(look_every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut patience = Patience::new(look_every, Instant::now());
        // The successor gets its chance before the next attempt, and so does the quorum after others have had theirs.
        let mut next_attempt = Instant::now();
        let (mut attempts, mut has_tried) = (Attempts::default(), false);
        loop {
            ticks.tick().await;
            let now = metrics.borrow_watched().clone();
            let index = |id: Option<LogId>| id.map(|id| id.index);
            // A network that comes and goes takes the lease away each time, and the entries wait on.
            let in_office = now.state == ServerState::Leader;
            let late = patience.look(
                Instant::now(),
                Look {
                    in_office,
                    oldest_flush: self.flushes.oldest(),
                    applied: index(now.last_applied),
                    committed: index(now.local_committed),
                    last: now.last_log_index,
                },
            );
            // Each time that nothing is committed it begins with the gentler way.
            has_tried &= !late.quorum.is_zero();
            if !in_office || !self.standing.borrow().leads {
                continue;
            }
            if late.disk > stall * 3 {
                let stuck_ms = late.disk.as_millis();
                self.exit.now(&format!("the disk has not finished a write for {stuck_ms} ms, and nobody takes over"));
                return;
            }
            if Instant::now() < next_attempt {
                continue;
            }
            // A new leader may first have to send snapshots to those that it needs.
            let is_new = now.local_committed.is_none_or(|last| last.leader_id.term < now.current_term);
            let patient = if is_new { uncommitted_max * 2 } else { uncommitted_max };
            // With a disk that is slow too, all disks may be: another leader would not fare better.
            let is_unheard = late.quorum >= patient && late.disk * 2 < late.quorum;
            let handed = if late.disk >= stall {
                next_attempt = Instant::now() + stall / 2;
                self.hand_over(&now, "the disk is stuck", late.disk).await
            } else if is_unheard && attempts.begin(Instant::now()) {
                next_attempt = Instant::now() + uncommitted_max;
                if !std::mem::replace(&mut has_tried, true) && !is_partly_heard(&now) {
                    self.hand_over(&now, "no quorum gets this leader's entries", late.quorum).await
                } else {
                    let waiting_ms = late.quorum.as_millis();
                    tracing::warn!(waiting_ms, "no quorum gets this leader's entries: leaving the others an election");
                    self.cedes.store(true, Ordering::Relaxed);
                    next_attempt += silence::room(&self.timing);
                    Ok(())
                }
            } else {
                Ok(())
            };
            if handed.is_err() {
                return;
            }
        }
    }

    /// Asks the voter whose log is longest to take over.
    async fn hand_over(&self, now: &RaftMetrics, why: &str, waiting: Duration) -> Result<(), Fatal> {
        let Some(to) = successor(now) else { return Ok(()) };
        tracing::warn!(to, waiting_ms = waiting.as_millis(), "{why}: handing leadership over");
        self.raft.trigger().transfer_leader(to).await
    }
}

/// Whether somebody has entries that no quorum has. Only such a one could be handed the office, for its log is longest, and it
/// is likely to be on this member's side of whatever keeps the others from them: those must find a leader by themselves.
fn is_partly_heard(now: &RaftMetrics) -> bool {
    let committed = now.local_committed.map(|id| id.index);
    let matched = now.replication.iter().flatten().filter(|(id, _)| **id != now.id);
    matched.filter_map(|(_, matched)| *matched).any(|matched| Some(matched.index) > committed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these moments (ms), every 100; how late the disk and the quorum were in the end, ms.
    fn late(looks: &[(u64, Look)]) -> (u64, u64) {
        let begun = Instant::now();
        let mut patience = Patience::new(Duration::from_millis(100), begun);
        let look = |(at, look): &(u64, Look)| patience.look(begun + Duration::from_millis(*at), *look);
        let late = looks.iter().map(look).last().unwrap_or_default();
        (late.disk.as_millis() as u64, late.quorum.as_millis() as u64)
    }

    /// The disk's part, with (moment, oldest write, applied) of 9 committed.
    fn stuck(looks: &[(u64, Option<u64>, u64)]) -> u64 {
        let look = |(at, oldest_flush, applied): &(u64, Option<u64>, u64)| {
            let (oldest_flush, applied) = (*oldest_flush, Some(*applied));
            (*at, Look { in_office: true, oldest_flush, applied, committed: Some(9), last: Some(9) })
        };
        late(&looks.iter().map(look).collect::<Vec<_>>()).0
    }

    /// The quorum's part, with (moment, committed, last).
    fn unheard(looks: &[(u64, u64, u64)]) -> u64 {
        elected(0, looks)
    }

    /// The same of one that leads from some moment on.
    fn elected(since: u64, looks: &[(u64, u64, u64)]) -> u64 {
        let look = |(at, committed, last): &(u64, u64, u64)| {
            let (in_office, committed, last) = (*at >= since, Some(*committed), Some(*last));
            (*at, Look { in_office, oldest_flush: None, applied: committed, committed, last })
        };
        late(&looks.iter().map(look).collect::<Vec<_>>()).1
    }

    #[test]
    fn a_member_is_stuck_as_long_as_the_same_thing_keeps_it_waiting() {
        assert_eq!(stuck(&[(100, Some(1), 9), (200, Some(1), 9), (300, Some(1), 9)]), 200);
        assert_eq!(stuck(&[(100, Some(1), 9), (200, Some(1), 9), (300, Some(2), 9)]), 0, "another write");
        assert_eq!(stuck(&[(100, Some(1), 9), (200, None, 9), (300, None, 9)]), 0, "no write");
        assert_eq!(stuck(&[(100, None, 3), (200, None, 3), (300, None, 3)]), 200, "apply stands still");
        assert_eq!(stuck(&[(100, None, 3), (200, None, 3), (300, None, 4)]), 0, "apply gets on");
        assert_eq!(stuck(&[(100, None, 9), (200, None, 9), (300, None, 9)]), 0, "all is applied");
    }

    #[test]
    fn a_leader_is_unheard_as_long_as_nothing_more_is_committed() {
        assert_eq!(unheard(&[(100, 3, 5), (200, 3, 5), (300, 3, 8)]), 200);
        assert_eq!(unheard(&[(100, 3, 5), (200, 3, 5), (300, 4, 8)]), 0, "it gets on");
        assert_eq!(unheard(&[(100, 5, 5), (200, 5, 5), (300, 5, 5)]), 0, "all is committed");
        assert_eq!(unheard(&[(100, 3, 5), (200, 3, 5), (300, 5, 5)]), 0, "all is committed now");
        assert_eq!(
            elected(300, &[(100, 3, 5), (200, 3, 5), (300, 3, 6)]),
            0,
            "what it waited for before is no fault of its"
        );
        assert_eq!(elected(200, &[(100, 3, 5), (200, 3, 6), (300, 3, 6)]), 100, "but what it waits for since");
    }

    #[test]
    fn the_time_in_which_this_process_was_stopped_does_not_count() {
        assert_eq!(stuck(&[(100, Some(1), 9), (200, Some(1), 9), (3300, Some(1), 9)]), 300);
        assert_eq!(stuck(&[(100, None, 3), (200, None, 3), (3300, None, 3)]), 300);
        assert_eq!(unheard(&[(100, 3, 5), (200, 3, 5), (3300, 3, 5)]), 300);
    }

    #[test]
    fn an_office_is_given_away_three_times_a_minute_at_most() {
        let begun = Instant::now();
        let mut attempts = Attempts::default();
        let mut may = |s: u64| attempts.begin(begun + Duration::from_secs(s));
        assert_eq!([0, 1, 50, 51, 59].map(&mut may), [true, true, true, false, false]);
        assert_eq!([60, 60, 61, 62].map(&mut may), [true, false, true, false], "the first of them are long ago");
        assert_eq!([200, 300, 400, 500].map(&mut may), [true; 4], "each on its own");
    }

    #[test]
    fn the_oldest_write_on_its_way_is_looked_at() {
        let flushes = Flushes::default();
        assert_eq!(flushes.oldest(), None);
        let (a, b) = (flushes.begin(), flushes.begin());
        assert_eq!(flushes.oldest(), Some(a));
        flushes.end(a);
        assert_eq!(flushes.oldest(), Some(b));
        flushes.end(b);
        assert_eq!(flushes.oldest(), None);
    }
}
