//! Proposals of this member that wait for their outcomes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use raft_state::{Command, CommandId, Outcome};
use raft_trace::Context;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// What a caller of `propose` waits for.
pub(crate) type Outcomes = oneshot::Receiver<Vec<Outcome>>;

/// Proposals by the sequence of their first command. Outcomes come from this member's own apply, whichever leader put
/// the commands in the log and however often: apply answers a repeated id with its first outcome.
pub(crate) struct Registry {
    boot: u64,
    inner: Mutex<Inner>,
    skipped: Notify,
}

struct Inner {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    since: Instant,
    commands: usize,
    encoded: Bytes,
    /// The span that it is a part of, when it is traced.
    trace: Option<Context>,
    done: oneshot::Sender<Vec<Outcome>>,
}

/// The ids of one proposal, and what its encoding says beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Boot of this process.
    pub(crate) boot: u64,
    /// Sequence of the first command; the others count up from it.
    pub(crate) first: u64,
    /// Nobody waits for this sequence and those below it any more: their outcomes may be forgotten.
    pub(crate) low_water: u64,
}

impl Registry {
    pub(crate) fn new(boot: u64) -> Self {
        Self { boot, inner: Mutex::new(Inner { next: 1, waiting: BTreeMap::new() }), skipped: Notify::new() }
    }

    pub(crate) fn boot(&self) -> u64 {
        self.boot
    }

    /// Gives the commands their ids, encodes them, and waits for their outcomes from now on. The first id, the encoding, and
    /// where the outcomes come.
    pub(crate) fn enter<E>(
        &self,
        commands: &[Command],
        trace: Option<Context>,
        encode: impl FnOnce(Ids, &[Command]) -> Result<Bytes, E>,
    ) -> Result<(u64, Bytes, Outcomes), E> {
        let (done, outcomes) = oneshot::channel();
        let count = commands.len();
        let ids = {
            let mut inner = self.inner.lock();
            let first = inner.next;
            inner.next += count as u64;
            let low_water = inner.waiting.first_key_value().map_or(first, |(lowest, _)| *lowest) - 1;
            // Entered before it is encoded, so that no later proposal's low-water mark passes it.
            let (since, encoded) = (Instant::now(), Bytes::new());
            inner.waiting.insert(first, Waiting { since, commands: count, encoded, trace, done });
            Ids { boot: self.boot, first, low_water }
        };
        let encoded = match encode(ids, commands) {
            Ok(encoded) => encoded,
            Err(e) => {
                self.leave(ids.first);
                return Err(e);
            }
        };
        if let Some(waiting) = self.inner.lock().waiting.get_mut(&ids.first) {
            waiting.encoded = encoded.clone();
        }
        Ok((ids.first, encoded, outcomes))
    }

    /// Nobody waits for this proposal any more.
    pub(crate) fn leave(&self, first: u64) {
        self.inner.lock().waiting.remove(&first);
    }

    /// The encoding of a proposal that still waits, once there is one, and the span that it is a part of.
    pub(crate) fn encoded(&self, first: u64) -> Option<(Bytes, Option<Context>)> {
        let inner = self.inner.lock();
        inner.waiting.get(&first).filter(|w| !w.encoded.is_empty()).map(|w| (w.encoded.clone(), w.trace))
    }

    /// The first sequences of all that still waits.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        self.inner.lock().waiting.keys().copied().collect()
    }

    /// The first sequences of what has waited for so long.
    pub(crate) fn waiting_longer_than(&self, age: Duration) -> Vec<u64> {
        let inner = self.inner.lock();
        inner.waiting.iter().filter(|(_, w)| w.since.elapsed() > age).map(|(first, _)| *first).collect()
    }

    /// This member has skipped entries of the log, perhaps those that somebody here waits for.
    pub(crate) fn skip(&self) {
        self.skipped.notify_one();
    }

    /// Waits until entries are skipped, if they have not been since the last time.
    pub(crate) async fn skipped(&self) {
        self.skipped.notified().await;
    }

    /// Nobody gets outcomes any more: whoever waits is told so.
    pub(crate) fn close(&self) {
        self.inner.lock().waiting.clear();
    }

    /// Hands over the outcomes of a whole proposal, in the order of its commands.
    pub(crate) fn complete(&self, first: u64, outcomes: Vec<Outcome>) {
        let waiting = self.inner.lock().waiting.remove(&first);
        if let Some(waiting) = waiting {
            debug_assert_eq!(waiting.commands, outcomes.len(), "a proposal is applied whole");
            // Whoever waited may have left just now.
            let _ = waiting.done.send(outcomes);
        }
    }

    /// As [`Registry::complete`], when `first` is one of ours.
    pub(crate) fn applied(&self, first: CommandId, outcomes: impl FnOnce() -> Vec<Outcome>) {
        if first.boot == self.boot {
            self.complete(first.sequence, outcomes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn enter(registry: &Registry, commands: usize) -> (Ids, Outcomes) {
        let mut seen = None;
        let commands = vec![Command::Compact { revision: 1 }; commands];
        let (.., outcomes) = registry
            .enter(&commands, None, |ids, _| {
                seen = Some(ids);
                Ok::<_, Infallible>(Bytes::from_static(b"x"))
            })
            .expect("infallible");
        (seen.expect("ids"), outcomes)
    }

    #[test]
    fn the_low_water_mark_follows_the_oldest_that_still_waits() {
        let registry = Registry::new(7);
        let (a, _a) = enter(&registry, 3);
        let (b, _b) = enter(&registry, 1);
        assert_eq!(a, Ids { boot: 7, first: 1, low_water: 0 });
        assert_eq!(b, Ids { boot: 7, first: 4, low_water: 0 });
        registry.complete(1, vec![Outcome::Compacted { revision: 1 }; 3]);
        let (c, _c) = enter(&registry, 2);
        assert_eq!(c, Ids { boot: 7, first: 5, low_water: 3 });
        registry.leave(4);
        registry.leave(5);
        let (d, _d) = enter(&registry, 1);
        assert_eq!(d, Ids { boot: 7, first: 7, low_water: 6 });
    }

    #[test]
    fn outcomes_reach_who_waits_and_others_boots_are_not_ours() {
        let registry = Registry::new(7);
        let (ids, mut outcomes) = enter(&registry, 1);
        registry.applied(CommandId { boot: 8, sequence: ids.first }, || unreachable!("not ours"));
        assert!(outcomes.try_recv().is_err());
        registry.applied(CommandId { boot: 7, sequence: ids.first }, || vec![Outcome::Compacted { revision: 2 }]);
        assert_eq!(outcomes.try_recv(), Ok(vec![Outcome::Compacted { revision: 2 }]));
        assert!(registry.waiting().is_empty());
    }
}
