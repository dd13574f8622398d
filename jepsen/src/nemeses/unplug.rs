//! Containers that are taken off their network, as by a cable that is pulled: nobody reaches them, clients neither.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::world::World;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "unplug",
    text: "the leader, one, a minority or all are taken off the network of their containers, and put there again",
    lane: Lane::Network,
    need: Need::Containers,
    lasts_ms: (500, 6000),
    draw: |random, masters| Box::new(Unplug { who: Who::draw(random, masters, true), struck: BTreeSet::new() }),
};

struct Unplug {
    who: Who,
    struck: BTreeSet<usize>,
}

impl Unplug {
    fn all(&self, world: &World, unplugged: bool) -> Result<()> {
        let containers = world.cluster.site().containers().context("a site without containers")?;
        self.struck.iter().try_for_each(|index| containers.unplug(*index, unplugged))
    }
}

impl Fault for Unplug {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find(world).await;
            Impact::out(format!("unplug {}", who::names(&self.struck)), self.struck.clone())
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.all(world, true) }.boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.all(world, false) }.boxed()
    }
}
