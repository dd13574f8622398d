//! Times in which this machine did not run us: a busy host must not be taken for an outage of the cluster.
//!
//! A thread that does nothing but sleep and wake measures how late it is woken. Masters stand in the same queue for the
//! processors as it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often we look.
const TICK: Duration = Duration::from_millis(10);
/// A tick that comes so much too late had to wait for a processor.
const LATE: Duration = Duration::from_millis(2);

/// Times, since the beginning, in which we wanted to run and did not: in order, apart from each other.
#[derive(Clone, Debug, Default)]
pub struct Waits(Vec<(Duration, Duration)>);

impl Waits {
    /// How much of a time was waited.
    pub fn within(&self, from: Duration, until: Duration) -> Duration {
        let first = self.0.partition_point(|(_, end)| *end <= from);
        let overlaps = self.0[first..].iter().take_while(|(begin, _)| *begin < until);
        overlaps.map(|(begin, end)| (*end).min(until).saturating_sub((*begin).max(from))).sum()
    }
}

impl FromIterator<(Duration, Duration)> for Waits {
    fn from_iter<I: IntoIterator<Item = (Duration, Duration)>>(waits: I) -> Self {
        Self(waits.into_iter().collect())
    }
}

/// Notes when a thread that does nothing but tick was not run.
#[derive(Default)]
pub struct Stalls(Mutex<Waits>);

impl Stalls {
    /// Watches until the returned guard is dropped. A thread of its own: the clients' runtime may itself be what stalls.
    pub fn watch(self: &Arc<Self>, begun: Instant) -> Guard {
        let stalls = Arc::downgrade(self);
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut due = begun.elapsed() + TICK;
            while stopped.recv_timeout(TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let now = begun.elapsed();
                if now > due + LATE
                    && let Some(stalls) = stalls.upgrade()
                {
                    stalls.0.lock().0.push((due, now));
                }
                due = now + TICK;
            }
        });
        Guard { stop, thread: Some(thread) }
    }

    /// All of them so far.
    pub fn all(&self) -> Waits {
        self.0.lock().clone()
    }
}

/// Ends the watching thread when dropped.
pub struct Guard {
    stop: std::sync::mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (closed, _) = std::sync::mpsc::channel();
        self.stop = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_is_counted_where_it_overlaps() {
        let ms = Duration::from_millis;
        let waits: Waits =
            [(10, 20), (30, 60), (100, 200)].map(|(from, until)| (ms(from), ms(until))).into_iter().collect();
        let check = |from: u64, until: u64, expected: u64| assert_eq!(waits.within(ms(from), ms(until)), ms(expected));
        check(0, 10, 0);
        check(0, 15, 5);
        check(15, 40, 15);
        check(0, 500, 140);
        check(150, 160, 10);
        check(60, 100, 0);
    }
}
