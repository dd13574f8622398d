//! What befalls these worlds.

use std::time::Duration;

use raft_node::Node;

use super::world::World;
use crate::net::Weather;
use crate::rng::Rng;

/// A fault.
pub struct Fault {
    /// Its name.
    pub name: &'static str,
    /// Begins, for so many microseconds.
    pub strike: fn(&mut World, &mut Rng, u64),
    /// Ends.
    pub relent: fn(&mut World, &mut Rng),
}

/// One row each.
pub static ALL: &[Fault] = &[
    Fault { name: "kill one", strike: |w, r, _| one(w, r, false), relent: restart },
    Fault { name: "kill the leader", strike: |w, r, _| leader(w, r, false), relent: restart },
    Fault { name: "power of one", strike: |w, r, _| one(w, r, true), relent: restart },
    Fault { name: "power of the leader", strike: |w, r, _| leader(w, r, true), relent: restart },
    Fault { name: "power of all", strike: power_of_all, relent: restart },
    Fault { name: "restart one", strike: quick_restart, relent: restart },
    Fault { name: "halves", strike: halves, relent: |w, _| w.post.mend() },
    Fault { name: "one way", strike: one_way, relent: |w, _| w.post.mend() },
    Fault { name: "leader alone", strike: leader_alone, relent: |w, _| w.post.mend() },
    Fault { name: "bridge", strike: bridge, relent: |w, _| w.post.mend() },
    Fault { name: "loss", strike: loss, relent: clear },
    Fault { name: "doubling", strike: doubling, relent: clear },
    Fault { name: "lateness", strike: lateness, relent: clear },
    Fault { name: "pause one", strike: pause_one, relent: |_, _| {} },
    Fault { name: "pause the leader", strike: pause_leader, relent: |_, _| {} },
    Fault { name: "slow disk", strike: slow_disk, relent: mend_disks },
    Fault { name: "disk hangs", strike: disk_hangs, relent: mend_disks },
    Fault { name: "membership", strike: membership, relent: membership_again },
    Fault { name: "transfer", strike: transfer, relent: transfer_again },
];

fn victim(world: &World, rng: &mut Rng) -> Option<u64> {
    rng.pick(&world.ids()).copied()
}

fn one(world: &mut World, rng: &mut Rng, power: bool) {
    if let Some(id) = victim(world, rng) {
        world.crash(id, power);
    }
}

fn leader(world: &mut World, rng: &mut Rng, power: bool) {
    match world.leader() {
        Some(id) => world.crash(id, power),
        None => one(world, rng, power),
    }
}

fn power_of_all(world: &mut World, _: &mut Rng, _: u64) {
    for id in world.ids() {
        world.crash(id, true);
    }
}

fn quick_restart(world: &mut World, rng: &mut Rng, _: u64) {
    if let Some(id) = victim(world, rng) {
        let power = rng.permille(500);
        world.crash(id, power);
        world.start(id);
    }
}

fn restart(world: &mut World, _: &mut Rng) {
    for id in world.ids() {
        world.start(id);
    }
}

fn cut_between(world: &World, a: &[u64], b: &[u64]) {
    for from in a {
        for to in b {
            world.post.cut(*from, *to);
            world.post.cut(*to, *from);
        }
    }
}

fn halves(world: &mut World, rng: &mut Rng, _: u64) {
    let (a, b): (Vec<u64>, Vec<u64>) = world.ids().into_iter().partition(|_| rng.permille(500));
    cut_between(world, &a, &b);
}

fn one_way(world: &mut World, rng: &mut Rng, _: u64) {
    let ids = world.ids();
    if let (Some(from), Some(to)) = (rng.pick(&ids).copied(), rng.pick(&ids).copied())
        && from != to
    {
        world.post.cut(from, to);
    }
}

fn leader_alone(world: &mut World, _: &mut Rng, _: u64) {
    let Some(leader) = world.leader() else { return };
    let others: Vec<u64> = world.ids().into_iter().filter(|id| *id != leader).collect();
    cut_between(world, &[leader], &others);
}

fn bridge(world: &mut World, rng: &mut Rng, _: u64) {
    let Some(middle) = victim(world, rng) else { return };
    let rest = world.ids().into_iter().filter(|id| *id != middle);
    let (a, b): (Vec<u64>, Vec<u64>) = rest.partition(|id| id % 2 == 0);
    cut_between(world, &a, &b);
}

fn loss(world: &mut World, rng: &mut Rng, _: u64) {
    let weather = Weather { loss_permille: rng.between(5, 200), ..world.plan.weather };
    world.post.set_weather(weather);
}

fn doubling(world: &mut World, rng: &mut Rng, _: u64) {
    let weather = Weather { double_permille: rng.between(50, 800), overtaking: true, ..world.plan.weather };
    world.post.set_weather(weather);
}

fn lateness(world: &mut World, rng: &mut Rng, _: u64) {
    let high = rng.between(10_000, 150_000);
    let weather = Weather { delay_us: (100, high), overtaking: rng.permille(500), ..world.plan.weather };
    world.post.set_weather(weather);
}

fn clear(world: &mut World, _: &mut Rng) {
    world.post.set_weather(world.plan.weather);
}

fn pause_one(world: &mut World, rng: &mut Rng, length_us: u64) {
    if let Some(id) = victim(world, rng) {
        world.pause(id, length_us);
    }
}

fn pause_leader(world: &mut World, _: &mut Rng, length_us: u64) {
    if let Some(id) = world.leader() {
        world.pause(id, length_us);
    }
}

fn slow_disk(world: &mut World, rng: &mut Rng, _: u64) {
    if let Some(id) = victim(world, rng) {
        world.disk(id, |disk| disk.sync_us = (20_000, 300_000));
    }
}

fn disk_hangs(world: &mut World, rng: &mut Rng, _: u64) {
    if let Some(id) = victim(world, rng) {
        world.disk(id, |disk| disk.hangs = true);
    }
}

fn mend_disks(world: &mut World, _: &mut Rng) {
    let sync_us = world.plan.sync_us;
    for id in world.ids() {
        world.disk(id, |disk| (disk.sync_us, disk.hangs) = (sync_us, false));
    }
}

/// How long an order to the cluster may take.
const ORDER: Duration = Duration::from_secs(5);

/// Two machines join, or a member is demoted, promoted or removed, at the word of any member.
fn membership(world: &mut World, rng: &mut Rng, _: u64) {
    let Some(standing) = world.leader().and_then(|id| world.standing(id)) else { return };
    let voters: Vec<u64> = standing.members.iter().filter(|m| m.voter).map(|m| m.id).collect();
    let learners: Vec<u64> = standing.members.iter().filter(|m| !m.voter).map(|m| m.id).collect();
    match rng.below(4) {
        0 if world.ids().len() < world.plan.members as usize + 2 => {
            world.join();
            world.join();
        }
        1 => {
            let Some(id) = rng.pick(&voters).copied() else { return };
            world.order(rng, move |node| async move { node.demote(id, until()).await.map(drop) });
        }
        2 => {
            let Some(id) = rng.pick(&learners).copied() else { return };
            world.order(rng, move |node| async move { node.promote(id, until()).await.map(drop) });
        }
        _ => {
            let all: Vec<u64> = standing.members.iter().map(|m| m.id).collect();
            if all.len() <= 3 {
                return;
            }
            let Some(id) = rng.pick(&all).copied() else { return };
            world.order(rng, move |node| async move { node.remove(id, until()).await });
        }
    }
}

fn membership_again(world: &mut World, rng: &mut Rng) {
    membership(world, rng, 0);
}

fn transfer(world: &mut World, rng: &mut Rng, _: u64) {
    let Some(standing) = world.leader().and_then(|id| world.standing(id)) else { return };
    let voters: Vec<u64> = standing.members.iter().filter(|m| m.voter).map(|m| m.id).collect();
    let Some(id) = rng.pick(&voters).copied() else { return };
    world.order(rng, move |node| async move { node.transfer(id, until()).await });
}

fn transfer_again(world: &mut World, rng: &mut Rng) {
    transfer(world, rng, 0);
}

/// By the clock of the process that this runs in.
fn until() -> std::time::Instant {
    (tokio::time::Instant::now() + ORDER).into_std()
}

/// An order is given to this member.
pub type Ordered = std::sync::Arc<Node>;
