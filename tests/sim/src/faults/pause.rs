//! Processes that stand still and go on as if nothing had happened, and clocks that jump.

use super::ids;
use crate::rng::Rng;
use crate::world::World;

pub(super) fn one(world: &mut World, rng: &mut Rng, length_us: u64) {
    if let Some(id) = rng.pick(&ids(world)).copied() {
        world.pause(id, world.now_us() + length_us);
    }
}

pub(super) fn leader(world: &mut World, _rng: &mut Rng, length_us: u64) {
    if let Some(id) = world.leader() {
        world.pause(id, world.now_us() + length_us);
    }
}

/// A pause ends by itself.
pub(super) fn end(_world: &mut World, _rng: &mut Rng) {}

pub(super) fn clock(world: &mut World, rng: &mut Rng, _length_us: u64) {
    let jump_us = *rng.pick(&[-3_600_000_000, -5_000_000, 5_000_000, 60_000_000, 86_400_000_000]).unwrap_or(&0);
    let ids = ids(world);
    if let Some(machine) = rng.pick(&ids).and_then(|id| world.machines.get_mut(id)) {
        machine.skew_us = jump_us;
    }
}

pub(super) fn clock_back(world: &mut World, _rng: &mut Rng) {
    for machine in world.machines.values_mut() {
        machine.skew_us = 0;
    }
}
