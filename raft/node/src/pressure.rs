//! Whether processors are scarce: how long the kernel lets a thread wait for one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use tokio::time::Instant;

use crate::simulated::is_simulated;

/// They are when more than this part of the time in which a thread could have run went by without a processor: 1/4.
const SCARCE_PARTS: u64 = 4;

/// The span that is looked at.
const SPAN: Duration = Duration::from_millis(20);

/// Nanoseconds since the thread began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    running: u64,
    waiting: u64,
}

impl Times {
    /// From the text of schedstat: time spent on a processor, time waiting for one, and turns (Documentation/scheduler/sched-stats.rst
    /// of Linux).
    fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = str::from_utf8(text).ok()?.split_ascii_whitespace();
        let running = fields.next()?.parse().ok()?;
        let waiting = fields.next()?.parse().ok()?;
        Some(Self { running, waiting })
    }

    fn is_scarce_since(self, before: Self) -> bool {
        let waited = self.waiting.saturating_sub(before.waiting);
        let ran = self.running.saturating_sub(before.running);
        waited * SCARCE_PARTS > ran + waited
    }
}

/// Of the thread that it was made on. Where the kernel does not tell, processors are never scarce.
pub(crate) struct Pressure {
    /// `/proc/thread-self/schedstat`, which stays that thread's.
    schedstat: Option<File>,
    looked: Instant,
    times: Times,
    is_scarce: bool,
}

impl Pressure {
    pub(crate) fn of_this_thread() -> Self {
        Self::of(if is_simulated() { None } else { File::open("/proc/thread-self/schedstat").ok() })
    }

    fn of(schedstat: Option<File>) -> Self {
        // What members that are simulated do must not depend on this machine; so for them they always are.
        Self { schedstat, looked: Instant::now(), times: Times::default(), is_scarce: is_simulated() }
    }

    fn read(&self) -> Option<Times> {
        let mut text = [0; 64];
        let length = self.schedstat.as_ref()?.read_at(&mut text, 0).ok()?;
        Times::parse(&text[..length])
    }

    /// Whether they were scarce lately.
    pub(crate) fn is_scarce(&mut self) -> bool {
        if self.looked.elapsed() >= SPAN
            && let Some(now) = self.read()
        {
            self.is_scarce = now.is_scarce_since(self.times);
            self.times = now;
            self.looked = Instant::now();
        }
        self.is_scarce
    }
}

#[cfg(test)]
mod tests {
    use std::thread::available_parallelism;

    use super::*;

    #[test]
    fn a_quarter_of_the_time_without_a_processor_is_too_much() {
        let times = |text: &str| Times::parse(text.as_bytes());
        let before = times("1000000 500000 12\n").expect("three numbers");
        assert_eq!(before, Times { running: 1_000_000, waiting: 500_000 });
        assert!(times("1000300 500101 13\n").expect("three numbers").is_scarce_since(before));
        assert!(!times("1000300 500100 13\n").expect("three numbers").is_scarce_since(before));
        assert!(!before.is_scarce_since(before), "nothing has run");
        assert_eq!(times("1"), None);
        assert_eq!(times("no numbers"), None);
    }

    #[test]
    fn threads_that_are_more_than_processors_make_them_scarce() {
        let busy = available_parallelism().map_or(1, usize::from) * 4;
        let spin = || {
            let mut pressure = Pressure::of_this_thread();
            let until = Instant::now() + SPAN * 100;
            // Where the kernel keeps no account there is nothing to see.
            let has_account = pressure.read().is_some_and(|times| times != Times::default());
            while has_account && !pressure.is_scarce() && Instant::now() < until {
                std::hint::black_box(());
            }
            !has_account || pressure.is_scarce()
        };
        let scarce = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..busy).map(|_| scope.spawn(spin)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).filter(|scarce| *scarce).count()
        });
        assert!(scarce >= busy / 2, "{scarce} of {busy}");
    }

    #[test]
    fn where_nothing_is_told_nothing_is_scarce() {
        let mut pressure = Pressure::of(None);
        pressure.looked = Instant::now().checked_sub(SPAN).expect("a machine that is up");
        assert!(!pressure.is_scarce());
    }
}
