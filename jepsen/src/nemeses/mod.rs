//! What befalls a cluster, one nemesis a file, one row each in [`ALL`].

mod backup;
mod clocks;
mod compaction;
mod demote;
mod disks;
mod drift;
mod join;
mod kill;
mod partitions;
mod pause;
mod restart;
mod rolling;
mod unplug;
mod upgrade;
mod weather;
mod who;
mod wipe;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;

use crate::cluster::{Site, clock};
use crate::world::World;

pub use who::Who;

/// Faults of one lane never overlap; faults of different lanes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Processes and what they stand on.
    Process,
    /// What lies between them.
    Network,
    /// What an operator does while all goes on.
    Upkeep,
}

/// All lanes.
pub const LANES: &[Lane] = &[Lane::Process, Lane::Network, Lane::Upkeep];

/// What a nemesis needs to be possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Masters.
    Nothing,
    /// Room for one more master.
    Room,
    /// Masters that are containers.
    Containers,
    /// The network between masters in our hands.
    Network,
    /// Disks of ours under the masters.
    Disk,
    /// Wall clocks in our hands.
    Clock,
    /// The etcd face.
    Etcd,
}

impl Need {
    /// Why it cannot be had at a site, with disks of ours or without, if it cannot.
    pub fn lacks(self, site: &dyn Site, disks: bool) -> Option<&'static str> {
        let contained = site.containers().is_some();
        match self {
            Self::Nothing => None,
            Self::Containers => (!contained).then_some("it needs containers: --compose"),
            Self::Clock if contained => Some("it needs processes of ours: without --compose"),
            Self::Room => (!site.has_room()).then_some("it needs room for one more master"),
            Self::Etcd => None,
            Self::Network => {
                site.weather().is_none().then_some("it needs network namespaces: root, /dev/net/tun, iproute2")
            }
            Self::Clock => clock::library().is_none().then_some("it needs libfaketime: Debian's package faketime"),
            Self::Disk => (!disks).then_some("it needs FUSE: root and /dev/fuse"),
        }
    }

    /// Whether it is about another kind of place than this one, so that nothing is lacking here.
    pub fn is_elsewhere(self, site: &dyn Site) -> bool {
        match site.containers() {
            Some(_) => matches!(self, Self::Network | Self::Disk | Self::Clock),
            None => self == Self::Containers,
        }
    }
}

/// A kind of fault.
pub struct Nemesis {
    /// As the command line names it.
    pub name: &'static str,
    /// What it does, for people.
    pub text: &'static str,
    /// What it excludes.
    pub lane: Lane,
    /// What it needs.
    pub need: Need,
    /// How long one lasts, at least and at most, milliseconds.
    pub lasts_ms: (u64, u64),
    /// Draws one for so many masters.
    pub draw: fn(&mut StdRng, usize) -> Box<dyn Fault>,
}

/// One row each.
pub static ALL: &[&Nemesis] = &[
    &kill::NEMESIS,
    &pause::NEMESIS,
    &restart::NEMESIS,
    &rolling::NEMESIS,
    &upgrade::NEMESIS,
    &disks::POWER,
    &disks::BLACKOUT,
    &disks::SLOW,
    &disks::STUCK,
    &disks::FULL,
    &disks::BIT,
    &partitions::HALVES,
    &partitions::BRIDGE,
    &partitions::ONE_WAY,
    &partitions::LEADER_ALONE,
    &partitions::FLAPPING,
    &weather::LATENCY,
    &weather::REORDERING,
    &weather::LOSS,
    &unplug::NEMESIS,
    &clocks::NEMESIS,
    &drift::NEMESIS,
    &wipe::NEMESIS,
    &join::NEMESIS,
    &demote::NEMESIS,
    &compaction::NEMESIS,
    &backup::NEMESIS,
];

/// The nemesis of a name.
pub fn named(name: &str) -> Option<&'static Nemesis> {
    ALL.iter().copied().find(|nemesis| nemesis.name == name)
}

/// One fault: it begins and it ends.
pub trait Fault: Send + Sync {
    /// Chooses whom it strikes, which may depend on who leads now.
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact>;

    /// Strikes.
    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>>;

    /// Relents. The cluster may take a while to recover; this does not wait for it.
    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>>;

    /// Waits until nothing is left of it beyond the masters that it touched, which serve again already. False when something
    /// is at the limit.
    fn recovered<'a>(&'a self, _world: &'a World, _limit: Duration) -> BoxFuture<'a, bool> {
        async { true }.boxed()
    }
}

/// What a fault takes from the cluster while it lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// `kill m2`
    pub text: String,
    /// Masters that do not work.
    pub out: BTreeSet<usize>,
    /// Links on which nothing comes through: from, to.
    pub cut: BTreeSet<(usize, usize)>,
    /// Whether it slows everything so much that no promise about time holds.
    pub slows: bool,
    /// Masters that may end themselves over it.
    pub may_end: BTreeSet<usize>,
}

impl Impact {
    /// A fault that takes these masters out.
    pub fn out(text: String, masters: BTreeSet<usize>) -> Self {
        Self { text, out: masters, ..Self::default() }
    }

    /// Of so many masters those that it touches.
    pub fn touched(&self, masters: usize) -> BTreeSet<usize> {
        if self.slows {
            return (0..masters).collect();
        }
        self.out.iter().copied().chain(self.cut.iter().flat_map(|(from, to)| [*from, *to])).collect()
    }
}

/// A fault that was.
#[derive(Clone, Debug)]
pub struct Struck {
    /// Its nemesis.
    pub nemesis: &'static str,
    /// What it took.
    pub impact: Impact,
    /// When it began.
    pub begun: Duration,
    /// When it relented.
    pub ended: Option<Duration>,
    /// When the masters it touched served again.
    pub recovered: Option<Duration>,
}

/// Every fault of a round.
#[derive(Default)]
pub struct Faults(Mutex<Vec<Struck>>);

impl Faults {
    /// A fault begins; the number names it.
    pub fn begin(&self, nemesis: &'static str, impact: Impact, now: Duration) -> usize {
        let mut all = self.0.lock();
        all.push(Struck { nemesis, impact, begun: now, ended: None, recovered: None });
        all.len() - 1
    }

    /// It relented.
    pub fn end(&self, number: usize, now: Duration) {
        self.0.lock()[number].ended = Some(now);
    }

    /// What it touched serves again.
    pub fn recover(&self, number: usize, now: Duration) {
        self.0.lock()[number].recovered = Some(now);
    }

    /// All faults, in the order in which they began.
    pub fn all(&self) -> Vec<Struck> {
        self.0.lock().clone()
    }

    /// What is going on now.
    pub fn under_way(&self) -> Vec<String> {
        self.0.lock().iter().filter(|fault| fault.ended.is_none()).map(|fault| fault.impact.text.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = ALL.iter().map(|nemesis| nemesis.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn masters_on_loopback_lack_containers_and_a_network_of_ours() {
        let site = crate::cluster::Loopback { base_port: 1 };
        let check = |need: Need, disks: bool, lacks: bool, elsewhere: bool| {
            assert_eq!(need.lacks(&site, disks).is_some(), lacks, "{need:?}, disks: {disks}");
            assert_eq!(need.is_elsewhere(&site), elsewhere, "{need:?}");
        };
        check(Need::Nothing, false, false, false);
        check(Need::Room, false, false, false);
        check(Need::Etcd, false, false, false);
        check(Need::Disk, true, false, false);
        // Nobody said that they were to be had.
        check(Need::Disk, false, true, false);
        check(Need::Network, false, true, false);
        // They are another place's.
        check(Need::Containers, false, true, true);
    }
}
