//! How far apart the beginnings of rounds are, so that what comes in gathers.
//!
//! A round (an entry on its way to its commit, a confirmation of the lead) costs every member about as much for one caller as for a
//! hundred. Begun whenever somebody waits, rounds are many and small just when processors are scarce: each takes their time from the
//! callers that would have shared it. So then rounds that many share begin no sooner after one another than they lately took, and
//! callers gather meanwhile. Where processors are idle nobody waits, nor do few.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::pressure::Pressure;

/// Rounds begin no further apart than this, however long they take: where members are far from each other, waiting does
/// not make them any quicker.
const APART_MAX: Duration = Duration::from_millis(20);

/// No timer is finer.
const APART_MIN: Duration = Duration::from_millis(1);

/// What differs between kinds of rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gait {
    /// Beginnings are as far apart as so many rounds take.
    pub(crate) rounds: u32,
    /// After a round with fewer callers nobody waits: few that answer each other would only be idle meanwhile.
    pub(crate) callers_min: usize,
}

/// The beginnings of one kind of rounds.
pub(crate) struct Pace {
    gait: Gait,
    last: Instant,
    callers: usize,
    lately: Lately,
    pressure: Pressure,
}

/// How long rounds lately took. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Lately(Arc<AtomicU64>);

impl Lately {
    /// A round is over. A quarter of the mean is the newest one.
    pub(crate) fn record(&self, took: Duration) {
        let newest = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Of two at the same moment one may be lost, which a mean can bear.
        let mean = self.0.load(Ordering::Relaxed);
        self.0.store(mean - mean / 4 + newest / 4, Ordering::Relaxed);
    }

    fn mean(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl Pace {
    /// Of rounds that this thread begins.
    pub(crate) fn new(gait: Gait) -> Self {
        Self { gait, last: Instant::now(), callers: 0, lately: Lately::default(), pressure: Pressure::of_this_thread() }
    }

    pub(crate) fn lately(&self) -> &Lately {
        &self.lately
    }

    /// Waits until a round may begin.
    pub(crate) async fn turn(&mut self) {
        if let Some(apart) = self.apart() {
            sleep_until(self.last + apart).await;
        }
    }

    /// A round begins now, for so many callers.
    pub(crate) fn begin(&mut self, callers: usize) {
        self.last = Instant::now();
        self.callers = callers;
    }

    fn apart(&mut self) -> Option<Duration> {
        let waits = self.callers >= self.gait.callers_min && self.pressure.is_scarce();
        waits.then(|| (self.lately.mean() * self.gait.rounds).clamp(APART_MIN, APART_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::simulate;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// How far apart rounds begin that take so long and are for so many.
    fn apart(callers: usize, took: Duration) -> Option<Duration> {
        let mut pace = Pace::new(Gait { rounds: 2, callers_min: 8 });
        for _ in 0..100 {
            pace.begin(callers);
            pace.lately().record(took);
        }
        pace.apart()
    }

    #[test]
    fn rounds_that_many_share_begin_as_far_apart_as_they_take() {
        // Processors of members that are simulated are scarce.
        simulate(Some(1));
        let found = apart(8, ms(4)).expect("a distance");
        assert!(found.abs_diff(ms(8)) < Duration::from_micros(100), "{found:?}");
        assert_eq!(apart(500, ms(500)), Some(APART_MAX));
        assert_eq!(apart(500, ms(0)), Some(APART_MIN), "as near as timers allow");
        assert_eq!(apart(7, ms(4)), None, "few do not wait");
        simulate(None);
        assert_eq!(apart(8, ms(4)), None, "nor does anybody on an idle machine");
    }
}
