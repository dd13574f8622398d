//! What disks do: lose their power and with it what was not synced, get slow, get full, flip bits.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::cluster::disk::{Disk, Flipped};
use crate::world::World;

/// The power fails.
pub static POWER: Nemesis = Nemesis {
    name: "power",
    text: "the power of one, a minority or all fails: what their disks had not synced is gone, or torn",
    lane: Lane::Process,
    need: Need::Disk,
    lasts_ms: (100, 2500),
    draw: |random, masters| {
        // Mostly nothing un-synced survives; sometimes some pages do, which makes torn writes.
        let kept_percent = [0, 0, 50][random.random_range(0..3)];
        disk(Who::draw(random, masters, true), Kind::Power { kept_percent }, random)
    },
};

/// The power of the whole room fails.
pub static BLACKOUT: Nemesis = Nemesis {
    name: "blackout",
    text: "the power of all fails at once: what no disk had synced is gone for good",
    lane: Lane::Process,
    need: Need::Disk,
    lasts_ms: (100, 1000),
    draw: |random, masters| {
        disk(
            Who::Some((0..masters).collect()),
            Kind::Power { kept_percent: [0, 50][random.random_range(0..2)] },
            random,
        )
    },
};

/// Syncs take long.
pub static SLOW: Nemesis = Nemesis {
    name: "slow-disk",
    text: "every sync of the leader's disk, one's, a minority's or all takes 20 to 400 ms longer",
    lane: Lane::Process,
    need: Need::Disk,
    lasts_ms: (1000, 5000),
    draw: |random, masters| {
        let lag = Duration::from_millis(random.random_range(20..400));
        disk(Who::draw(random, masters, true), Kind::Slow { lag }, random)
    },
};

/// Syncs do not end.
pub static STUCK: Nemesis = Nemesis {
    name: "stuck-disk",
    text: "syncs of one disk do not end for seconds",
    lane: Lane::Process,
    need: Need::Disk,
    lasts_ms: (2000, 6000),
    draw: |random, masters| {
        let lag = Duration::from_millis(random.random_range(1500..5000));
        disk(Who::draw_one(random, masters), Kind::Slow { lag }, random)
    },
};

/// No room.
pub static FULL: Nemesis = Nemesis {
    name: "full-disk",
    text: "the disks of one or a minority are full for a while",
    lane: Lane::Process,
    need: Need::Disk,
    lasts_ms: (1000, 5000),
    draw: |random, masters| disk(Who::draw(random, masters, false), Kind::Full, random),
};

/// A bit is not what it was.
pub static BIT: Nemesis = Nemesis {
    name: "bit-flip",
    text: "one master is killed, a bit of its log or its tables flips, and it is started again",
    lane: Lane::Process,
    need: Need::Disk,
    lasts_ms: (100, 1000),
    draw: |random, masters| disk(Who::draw_one(random, masters), Kind::Bit, random),
};

/// Files in which a flipped bit matters: RocksDB's logs and tables, manifests, and snapshots.
const ENDINGS: &[&str] = &[".log", ".sst"];
/// A master that finds its disk damaged ends within this, or it has started.
const NOTICING: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Power { kept_percent: u32 },
    Slow { lag: Duration },
    Full,
    Bit,
}

struct Trouble {
    who: Who,
    kind: Kind,
    random: StdRng,
    struck: BTreeSet<usize>,
    flipped: Vec<(usize, Flipped)>,
}

fn disk(who: Who, kind: Kind, random: &mut StdRng) -> Box<dyn Fault> {
    let random = StdRng::seed_from_u64(random.random());
    Box::new(Trouble { who, kind, random, struck: BTreeSet::new(), flipped: Vec::new() })
}

fn of(world: &World, index: usize) -> Result<&Disk> {
    world.cluster.disk(index).context("a master without a disk of ours")
}

impl Fault for Trouble {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = match self.kind {
                Kind::Bit => self.who.find_spare(world).await,
                _ => self.who.find(world).await,
            };
            let names = who::names(&self.struck);
            let text = match self.kind {
                Kind::Power { kept_percent: 0 } => format!("power of {names}"),
                Kind::Power { .. } => format!("power of {names}, torn"),
                Kind::Slow { lag } => format!("syncs of {names} {lag:?} late"),
                Kind::Full => format!("disk of {names} full"),
                Kind::Bit => format!("a bit of {names}"),
            };
            let mut impact = Impact::out(text, self.struck.clone());
            if let Kind::Slow { .. } = self.kind {
                // A leader with a slow disk slows everybody, until it gives its office away.
                let leader = world.cluster.leader(Duration::from_millis(500)).await;
                impact.slows = leader.is_ok_and(|leader| self.struck.contains(&leader))
                    || self.struck.len() * 2 > world.cluster.masters();
            }
            // It may end itself rather than go on with a disk that does not do its work.
            if !matches!(self.kind, Kind::Power { .. }) {
                impact.may_end = self.struck.clone();
            }
            impact
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            for index in self.struck.clone() {
                let disk = of(world, index)?;
                match self.kind {
                    Kind::Power { .. } | Kind::Bit => world.cluster.kill(index)?,
                    Kind::Slow { lag } => disk.lag(lag),
                    Kind::Full => disk.fill(true),
                }
            }
            // All are dead before the first disk forgets: together, as with one fuse.
            if let Kind::Power { kept_percent } = self.kind {
                for index in self.struck.clone() {
                    of(world, index)?.lose_power(&mut self.random, kept_percent);
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            for index in self.struck.clone() {
                let disk = of(world, index)?;
                match self.kind {
                    Kind::Power { .. } => world.cluster.launch(index)?,
                    Kind::Slow { .. } => disk.lag(Duration::ZERO),
                    Kind::Full => disk.fill(false),
                    Kind::Bit => {
                        let flipped = disk.flip(&mut self.random, ENDINGS);
                        start_damaged(world, index, flipped.as_ref()).await?;
                        self.flipped.extend(flipped.map(|flipped| (index, flipped)));
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// Until it votes again, for it may have been taken in anew. A bit that nobody has read by then is set right: it would
    /// cost a member's memory at any later time, perhaps together with another's, which no majority survives.
    fn recovered<'a>(&'a self, world: &'a World, limit: Duration) -> BoxFuture<'a, bool> {
        async move {
            let votes = self.struck.iter().map(|index| world.cluster.votes(*index, limit));
            let votes = futures::future::join_all(votes).await.into_iter().all(|votes| votes);
            for (index, flipped) in &self.flipped {
                if let Some(disk) = world.cluster.disk(*index) {
                    disk.mend(flipped);
                }
            }
            votes
        }
        .boxed()
    }
}

/// Starts a master on a disk with a wrong bit. Where the bit matters the others take it in anew. One that ends all the same
/// gets the bit set right, as if its disk had been copied from a good one.
async fn start_damaged(world: &World, index: usize, flipped: Option<&Flipped>) -> Result<()> {
    let Some(flipped) = flipped else { return world.cluster.launch(index) };
    if world.cluster.try_launch(index, NOTICING).await? {
        return Ok(());
    }
    of(world, index)?.mend(flipped);
    world.cluster.launch(index)
}
