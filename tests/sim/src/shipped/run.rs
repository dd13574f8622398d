//! The life of one of these worlds, from its seed to the verdict.

use super::plan::Plan;
use super::world::World;
use crate::run::{Verdict, live};

/// Lives a plan through.
pub fn run(plan: Plan) -> Verdict {
    let (seed, workloads, length_us) = (plan.seed, plan.workloads.clone(), plan.length_us);
    live(World::new(plan), seed, &workloads, length_us)
}
