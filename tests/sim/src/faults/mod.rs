//! What befalls a world, one fault a file.

mod cold_start;
mod crash;
mod links;
pub(crate) mod membership;
mod pause;
mod slow_disk;
mod weather;

use crate::consensus::Id;
use crate::rng::Rng;
use crate::world::World;

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
    Fault { name: "crash one", strike: crash::one, relent: crash::restart },
    Fault { name: "crash the leader", strike: crash::leader, relent: crash::restart },
    Fault { name: "power loss", strike: crash::all, relent: crash::restart },
    Fault { name: "quick restarts", strike: cold_start::strike, relent: crash::restart },
    Fault { name: "fickle voters", strike: cold_start::fickle, relent: cold_start::steady },
    Fault { name: "halves", strike: links::halves, relent: links::mend },
    Fault { name: "one way", strike: links::one_way, relent: links::mend },
    Fault { name: "leader alone", strike: links::leader_alone, relent: links::mend },
    Fault { name: "bridge", strike: links::bridge, relent: links::mend },
    Fault { name: "loss", strike: weather::loss, relent: weather::clear },
    Fault { name: "doubling", strike: weather::doubling, relent: weather::clear },
    Fault { name: "lateness", strike: weather::lateness, relent: weather::clear },
    Fault { name: "pause one", strike: pause::one, relent: pause::end },
    Fault { name: "pause the leader", strike: pause::leader, relent: pause::end },
    Fault { name: "clock jump", strike: pause::clock, relent: pause::clock_back },
    Fault { name: "slow disk", strike: slow_disk::strike, relent: slow_disk::relent },
    Fault { name: "membership", strike: membership::strike, relent: membership::relent },
];

fn ids(world: &World) -> Vec<Id> {
    world.machines.keys().copied().collect()
}
