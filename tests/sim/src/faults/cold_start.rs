//! Members that fail and are back at once, in the midst of an election perhaps.

use super::ids;
use crate::rng::Rng;
use crate::world::World;

pub(super) fn strike(world: &mut World, rng: &mut Rng, _length_us: u64) {
    for id in ids(world) {
        if rng.permille(600) {
            world.crash(id, world.plan.torn);
            world.start(id);
        }
    }
}

pub(super) fn fickle(world: &mut World, _rng: &mut Rng, _length_us: u64) {
    world.fickle_voters = true;
}

pub(super) fn steady(world: &mut World, _rng: &mut Rng) {
    world.fickle_voters = false;
}
