//! The life of one of these worlds, from its seed to the verdict.

use super::plan::Plan;
use super::world::World;
use crate::rng::Rng;
use crate::run::{Verdict, Work};
use crate::workloads;

/// After the faults, everything must be well again within this time.
const RECOVERY_US: u64 = 30_000_000;
/// How often that is looked at.
const LOOK_US: u64 = 50_000;

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
        if world.judge.is_over() || (world.is_quiet() && world.cluster.note(|ledger| ledger.busy == 0)) {
            break;
        }
        if world.now_us() >= until_us {
            let busy = world.cluster.note(|ledger| ledger.busy);
            let text = format!("{busy} clients are not done; {}", world.describe());
            world.judge.fault((0, 0), "the cluster recovers", text);
            return;
        }
    }
    // Watchers catch up.
    world.run_until(world.now_us() + 4 * LOOK_US);
}
