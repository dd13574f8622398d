//! The life of one world, from its seed to the verdict.

use crate::client::Cluster;
use crate::judge::{Finding, Judge};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::workloads;
use crate::world::World;

/// After the faults, everything must be well again within this time.
const RECOVERY_US: u64 = 30_000_000;
/// How often that is looked at.
const LOOK_US: u64 = 100_000;

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

/// Lives a plan through.
pub fn run(plan: Plan) -> Verdict {
    let (seed, length_us) = (plan.seed, plan.length_us);
    let work: Vec<(usize, u64)> = plan.workloads.clone();
    let mut world = World::new(plan);
    for (row, clients) in work {
        (workloads::ALL[row].begin)(&world.cluster, &Rng::new(seed).fork(100 + row as u64), clients);
    }
    world.run_until(length_us);
    if !world.judge.is_over() {
        recover(&mut world);
    }
    if !world.judge.is_over() {
        world.judge.end();
    }
    Verdict {
        findings: world.judge.findings().to_vec(),
        hash: world.hash(),
        work: Work::of(&world.cluster, &world.judge, world.now_us()),
        trace: std::mem::take(&mut world.trace),
    }
}

/// The faults are over: soon all calls have ended and all members agree.
fn recover(world: &mut World) {
    world.heal();
    world.cluster.note(|ledger| ledger.closing = true);
    let until_us = world.now_us() + RECOVERY_US;
    loop {
        world.run_until(world.now_us() + LOOK_US);
        crate::faults::membership::retire(world);
        if world.judge.is_over() || (world.is_quiet() && world.cluster.note(|ledger| ledger.busy == 0)) {
            break;
        }
        if world.now_us() >= until_us {
            let busy = world.cluster.note(|ledger| ledger.busy);
            let leader = world.leader();
            let text = format!("{busy} clients are not done, the leader is {leader:?}, not all members are equal");
            world.judge.fault((0, 0), "the cluster recovers", text);
            return;
        }
    }
    // Watchers catch up.
    world.run_until(world.now_us() + 2 * LOOK_US);
}
