//! A disk that takes its time.

use super::ids;
use crate::rng::Rng;
use crate::world::World;

pub(super) fn strike(world: &mut World, rng: &mut Rng, _length_us: u64) {
    let slow_us = *rng.pick(&[20_000, 200_000, 2_000_000]).unwrap_or(&200_000);
    let ids = ids(world);
    if let Some(machine) = rng.pick(&ids).and_then(|id| world.machines.get_mut(id)) {
        machine.sync_us = (slow_us / 2, slow_us);
    }
}

pub(super) fn relent(world: &mut World, _rng: &mut Rng) {
    let usual = world.plan.sync_us;
    for machine in world.machines.values_mut() {
        machine.sync_us = usual;
    }
}
