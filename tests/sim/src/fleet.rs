//! Many worlds, one a thread at a time.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use planted_bugs::Bug;

use crate::plan::Plan;
use crate::run::{Verdict, Work, run};

/// What came of many worlds.
#[derive(Default)]
pub struct Fleet {
    /// Worlds that ended.
    pub worlds: u64,
    /// The seed of the first that failed, with the name of the property.
    pub failed: Option<(u64, &'static str)>,
    /// All that was done.
    pub work: Work,
}

/// Makes a bug alive on this thread, in builds that have them.
pub fn plant(bug: Option<Bug>) {
    #[cfg(feature = "planted-bugs")]
    planted_bugs::plant(bug);
    #[cfg(not(feature = "planted-bugs"))]
    assert!(bug.is_none(), "this build has no planted bugs: build with --features planted-bugs");
}

/// Lives one seed through, with a bug perhaps.
pub fn one(plan: Plan, bug: Option<Bug>) -> Verdict {
    plant(bug);
    run(plan)
}

/// Lives through seeds until one fails, on so many threads.
pub fn sail(from: u64, seeds: u64, threads: usize, bug: Option<Bug>) -> Fleet {
    let next = AtomicU64::new(from);
    let over = AtomicBool::new(false);
    let fleet = Mutex::new(Fleet::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let verdict = one(Plan::of(seed), bug);
                    let mut fleet = fleet.lock().unwrap_or_else(PoisonError::into_inner);
                    fleet.take(seed, &verdict);
                    if fleet.failed.is_some() {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    fleet.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    fn take(&mut self, seed: u64, verdict: &Verdict) {
        self.worlds += 1;
        self.work.writes += verdict.work.writes;
        self.work.reads += verdict.work.reads;
        self.work.watched += verdict.work.watched;
        self.work.time_us += verdict.work.time_us;
        if let Some(finding) = verdict.findings.first()
            && self.failed.is_none_or(|(first, _)| seed < first)
        {
            self.failed = Some((seed, finding.property));
        }
    }
}
