//! Processes and machines that fail: what was not synced is gone.

use super::ids;
use crate::rng::Rng;
use crate::world::World;

pub(super) fn one(world: &mut World, rng: &mut Rng, _length_us: u64) {
    if let Some(id) = rng.pick(&ids(world)).copied() {
        world.crash(id, world.plan.torn);
    }
}

pub(super) fn leader(world: &mut World, _rng: &mut Rng, _length_us: u64) {
    if let Some(id) = world.leader() {
        world.crash(id, world.plan.torn);
    }
}

pub(super) fn all(world: &mut World, _rng: &mut Rng, _length_us: u64) {
    for id in ids(world) {
        world.crash(id, world.plan.torn);
    }
}

pub(super) fn restart(world: &mut World, _rng: &mut Rng) {
    for id in ids(world) {
        world.start(id);
    }
}
