//! Many worlds, one a thread at a time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use planted_bugs::Bug;

use crate::rng::Rng;
use crate::run::{Verdict, Work, run};
use crate::shipped;
use crate::shrink::Cuts;

/// What came of many worlds.
#[derive(Default)]
pub struct Fleet {
    /// Worlds that ended.
    pub worlds: u64,
    /// The seed of the first that failed, with the name of the property.
    pub failed: Option<(u64, &'static str)>,
    /// All that was done.
    pub work: Work,
    /// Over every world's hash, in whatever order they were lived through.
    pub hash: u64,
}

/// Makes a bug alive on this thread, in builds that have them.
pub fn plant(bug: Option<Bug>) {
    #[cfg(feature = "planted-bugs")]
    planted_bugs::plant(bug);
    #[cfg(not(feature = "planted-bugs"))]
    assert!(bug.is_none(), "this build has no planted bugs: build with --features planted-bugs");
}

/// Which worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Small ones, on a model of consensus.
    Small,
    /// Those in which the consensus that ships runs, each in a process of this binary, `sim`.
    Shipped(&'a Path),
}

impl Kind<'_> {
    /// Lives one seed through, with this left out, and a bug perhaps; tells at least the last `steps`.
    pub fn one(self, seed: u64, cuts: &Cuts, bug: Option<Bug>, steps: usize) -> Verdict {
        match self {
            Self::Small => {
                plant(bug);
                run(cuts.plan(seed))
            }
            Self::Shipped(binary) => shipped::process::live(binary, seed, cuts, bug, steps),
        }
    }
}

/// Lives through seeds until one fails, on so many threads.
pub fn sail(from: u64, seeds: u64, threads: usize, bug: Option<Bug>) -> Fleet {
    Voyage { kind: Kind::Small, from, seeds, until: None, threads, bug, clients: None, told: None }.sail()
}

/// Which seeds are lived through, and how.
#[derive(Clone, Copy, Debug)]
pub struct Voyage<'a> {
    /// In which worlds.
    pub kind: Kind<'a>,
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// No world is begun after this.
    pub until: Option<Instant>,
    /// Worlds at a time.
    pub threads: usize,
    /// What is planted.
    pub bug: Option<Bug>,
    /// Clients of each workload, by row, in place of what seeds draw.
    pub clients: Option<&'a [(usize, u64)]>,
    /// Is told of the fleet now and then, while nothing fails.
    pub told: Option<fn(&Fleet)>,
}

/// Worlds between two words about how it goes.
const WORLDS_BETWEEN_WORDS: u64 = 2_000;

impl Voyage<'_> {
    /// Lives through them until one fails.
    pub fn sail(self) -> Fleet {
        let Self { kind, from, seeds, until, threads, bug, clients, told } = self;
        let cuts = Cuts { clients: clients.map(<[_]>::to_vec), ..Cuts::default() };
        let next = AtomicU64::new(from);
        let over = AtomicBool::new(false);
        let fleet = Mutex::new(Fleet::default());
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= from + seeds {
                            return;
                        }
                        let verdict = kind.one(seed, &cuts, bug, 0);
                        let mut fleet = fleet.lock().unwrap_or_else(PoisonError::into_inner);
                        fleet.take(seed, &verdict);
                        if fleet.failed.is_some() {
                            over.store(true, Ordering::Relaxed);
                        } else if let Some(told) = told.filter(|_| fleet.worlds.is_multiple_of(WORLDS_BETWEEN_WORDS)) {
                            told(&fleet);
                        }
                    }
                });
            }
        });
        fleet.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet {
    fn take(&mut self, seed: u64, verdict: &Verdict) {
        self.worlds += 1;
        self.work.writes += verdict.work.writes;
        self.work.reads += verdict.work.reads;
        self.work.watched += verdict.work.watched;
        self.work.time_us += verdict.work.time_us;
        self.hash ^= Rng::new(seed ^ verdict.hash.rotate_left(32)).draw();
        if let Some(finding) = verdict.findings.first()
            && self.failed.is_none_or(|(first, _)| seed < first)
        {
            self.failed = Some((seed, finding.property));
        }
    }
}
