//! Members that come and go, one at a time: a learner joins, a learner is promoted, a voter is taken out and its machine
//! with it. A wiped machine comes back as a new member.

use crate::consensus::{Config, Id};
use crate::member::Machine;
use crate::rng::Rng;
use crate::world::World;

pub(super) fn strike(world: &mut World, rng: &mut Rng, _length_us: u64) {
    change(world, rng);
}

pub(super) fn relent(world: &mut World, rng: &mut Rng) {
    change(world, rng);
    retire(world);
}

fn change(world: &mut World, rng: &mut Rng) {
    let Some(leader) = world.leader() else { return };
    let Some((config, applied)) = world.machines.get(&leader).and_then(|machine| {
        let process = machine.process.as_ref()?;
        Some((process.raft.config().clone(), process.applied().index))
    }) else {
        return;
    };
    let mut next = config.clone();
    let ready: Vec<Id> = config.learners.iter().copied().filter(|id| is_close(world, *id, applied)).collect();
    let wanted = world.plan.members as usize;
    if let Some(learner) = rng.pick(&ready) {
        next.learners.remove(learner);
        next.voters.insert(*learner);
    } else if config.voters.len() > wanted {
        let voters: Vec<Id> = config.voters.iter().copied().collect();
        if let Some(voter) = rng.pick(&voters) {
            next.voters.remove(voter);
        }
    } else if config.learners.is_empty() {
        next.learners.insert(world.next_id);
    }
    if next == config {
        return;
    }
    let now_us = world.now_us();
    let taken = world
        .machines
        .get_mut(&leader)
        .and_then(|machine| machine.process.as_mut())
        .is_some_and(|process| process.raft.change(now_us, next.clone()));
    if taken && next.learners.contains(&world.next_id) {
        let id = world.next_id;
        world.next_id += 1;
        // A joiner knows nothing until it is told.
        world.add_machine(id, Config::default());
    }
    world.drive(leader);
}

fn is_close(world: &World, id: Id, applied: u64) -> bool {
    let process = world.machines.get(&id).and_then(|machine| machine.process.as_ref());
    process.is_some_and(|process| process.applied().index + 20 >= applied)
}

/// Machines that were part of the cluster, and that no committed configuration names any more, are taken away. One that has not
/// come to be part of it yet may still do so: who leads now need not have the entry that names it, which another may bring.
pub(crate) fn retire(world: &mut World) {
    let Some(process) = world.leader().and_then(|id| world.machines.get(&id)?.process.as_ref()) else { return };
    if process.applied().index != process.raft.commit() || !process.raft.has_quorum() {
        return;
    }
    let committed = process.image.with(|image| image.config.clone());
    let current = process.raft.config().clone();
    if committed != current {
        return;
    }
    let was_part = |machine: &Machine| {
        let process = machine.process.as_ref();
        process.is_some_and(|process| process.image.with(|image| image.config.all().any(|id| id == machine.id)))
    };
    let names = |id: Id| current.all().any(|other| other == id);
    let gone: Vec<Id> = world.machines.values().filter(|m| !names(m.id) && was_part(m)).map(|m| m.id).collect();
    for id in gone {
        world.remove_machine(id);
    }
}
