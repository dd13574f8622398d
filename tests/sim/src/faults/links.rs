//! Links that carry nothing.

use super::ids;
use crate::consensus::Id;
use crate::rng::Rng;
use crate::world::World;

fn part(world: &mut World, left: &[Id], right: &[Id]) {
    for a in left {
        for b in right {
            world.net.cut(*a, *b);
            world.net.cut(*b, *a);
        }
    }
}

pub(super) fn halves(world: &mut World, rng: &mut Rng, _length_us: u64) {
    let (left, right): (Vec<Id>, Vec<Id>) = ids(world).into_iter().partition(|_| rng.permille(500));
    part(world, &left, &right);
}

pub(super) fn one_way(world: &mut World, rng: &mut Rng, _length_us: u64) {
    let ids = ids(world);
    let Some(victim) = rng.pick(&ids).copied() else { return };
    let hears = rng.permille(500);
    for other in ids.into_iter().filter(|id| *id != victim) {
        if hears {
            world.net.cut(victim, other);
        } else {
            world.net.cut(other, victim);
        }
    }
}

pub(super) fn leader_alone(world: &mut World, _rng: &mut Rng, _length_us: u64) {
    let Some(leader) = world.leader() else { return };
    let others: Vec<Id> = ids(world).into_iter().filter(|id| *id != leader).collect();
    part(world, &[leader], &others);
}

/// Two halves that both reach one member between them.
pub(super) fn bridge(world: &mut World, rng: &mut Rng, _length_us: u64) {
    let mut ids = ids(world);
    if ids.len() < 3 {
        return;
    }
    ids.remove(rng.index(ids.len()));
    let (left, right) = ids.split_at(ids.len() / 2);
    part(world, left, right);
}

pub(super) fn mend(world: &mut World, _rng: &mut Rng) {
    world.net.mend();
}
