//! A network that loses, doubles and delays.

use crate::rng::Rng;
use crate::world::World;

pub(super) fn loss(world: &mut World, rng: &mut Rng, _length_us: u64) {
    world.net.weather.loss_permille = *rng.pick(&[20, 100, 300, 600]).unwrap_or(&100);
}

pub(super) fn doubling(world: &mut World, rng: &mut Rng, _length_us: u64) {
    world.net.weather.double_permille = *rng.pick(&[100, 500, 1000]).unwrap_or(&500);
    world.net.weather.overtaking = true;
}

pub(super) fn lateness(world: &mut World, rng: &mut Rng, _length_us: u64) {
    let election_us = world.plan.timing.election_us.0;
    let most = *rng.pick(&[election_us / 4, election_us, 5 * election_us]).unwrap_or(&election_us);
    world.net.weather.delay_us.1 = most;
    world.net.weather.overtaking = true;
}

pub(super) fn clear(world: &mut World, _rng: &mut Rng) {
    world.net.weather = world.plan.weather;
}
