//! The life of one world, from its seed to the verdict.

use std::sync::Arc;

use crate::client::Cluster;
use crate::judge::{Finding, Judge};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::workloads;
use crate::world::World;

/// After the faults, everything must be well again within this time.
const RECOVERY_US: u64 = 30_000_000;
/// And watchers have everything within this.
const CATCH_UP_US: u64 = 200_000;

/// What came of a world.
pub struct Verdict {
    /// What does not hold.
    pub findings: Vec<Finding>,
    /// Over everything that happened.
    pub hash: u64,
    /// Everything that happened.
    pub trace: Trace,
    /// How much was done: writes acknowledged, reads, events that watchers took.
    pub work: Work,
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Acknowledged.
    pub writes: u64,
    /// Answered.
    pub reads: u64,
    /// Taken by watchers.
    pub watched: u64,
    /// The last revision.
    pub revision: u64,
    /// The last log index.
    pub index: u64,
    /// Virtual, microseconds.
    pub time_us: u64,
}

impl Work {
    /// What was done in a world until now.
    pub(crate) fn of(cluster: &Cluster, judge: &Judge, now_us: u64) -> Self {
        let record = judge.record();
        cluster.note(|ledger| Self {
            writes: ledger.writes.iter().filter(|write| write.outcome.is_some()).count() as u64,
            reads: ledger.reads.len() as u64,
            watched: ledger.watches.iter().map(|watch| watch.taken.len() as u64).sum(),
            revision: record.revision,
            index: record.index,
            time_us: now_us,
        })
    }
}

/// A world as its life needs it: both kinds are lived through alike.
pub trait Living {
    /// How often it is looked at whether all is well again.
    const LOOK_US: u64;

    /// Runs until a time, or until something is found.
    fn run_until(&mut self, end_us: u64);

    /// The faults are over: everything works again.
    fn heal(&mut self);

    /// What is to be done now and then until all is well again.
    fn tidy_up(&mut self) {}

    /// Whether all members have applied what there is.
    fn is_quiet(&self) -> bool;

    /// For people: where everybody stands.
    fn describe(&self) -> String;

    /// The time.
    fn now_us(&self) -> u64;

    /// Who looks at everything.
    fn judge(&mut self) -> &mut Judge;

    /// What clients find.
    fn cluster(&self) -> &Arc<Cluster>;

    /// Everything that happened.
    fn trace(&mut self) -> &mut Trace;
}

/// Lives a world through: this much work, until then.
pub fn live<W: Living>(mut world: W, seed: u64, workloads: &[(usize, u64)], length_us: u64) -> Verdict {
    for (row, clients) in workloads {
        (workloads::ALL[*row].begin)(world.cluster(), &Rng::new(seed).fork(100 + *row as u64), *clients);
    }
    world.run_until(length_us);
    if !world.judge().is_over() {
        recover(&mut world);
    }
    if !world.judge().is_over() {
        world.judge().end();
    }
    let (now_us, cluster) = (world.now_us(), world.cluster().clone());
    let work = Work::of(&cluster, world.judge(), now_us);
    let trace = std::mem::take(world.trace());
    // Over all that happened, and all that came of it.
    let hash = trace.hash() ^ world.judge().hash();
    Verdict { findings: world.judge().findings().to_vec(), hash, work, trace }
}

/// The faults are over: soon all calls have ended and all members agree.
fn recover<W: Living>(world: &mut W) {
    world.heal();
    world.cluster().note(|ledger| ledger.closing = true);
    let until_us = world.now_us() + RECOVERY_US;
    loop {
        world.run_until(world.now_us() + W::LOOK_US);
        world.tidy_up();
        let busy = world.cluster().note(|ledger| ledger.busy);
        if world.judge().is_over() || (world.is_quiet() && busy == 0) {
            break;
        }
        if world.now_us() >= until_us {
            let waits_for = world.cluster().note(|ledger| ledger.waits_for.clone());
            let text = format!("{busy} clients are not done {waits_for:?}; {}", world.describe());
            world.judge().fault((0, 0), "the cluster recovers", text);
            return;
        }
    }
    // Watchers catch up.
    world.run_until(world.now_us() + CATCH_UP_US);
}

/// Lives a plan through.
pub fn run(plan: Plan) -> Verdict {
    let (seed, workloads, length_us) = (plan.seed, plan.workloads.clone(), plan.length_us);
    live(World::new(plan), seed, &workloads, length_us)
}
