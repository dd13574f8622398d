//! SIGKILL, and a start some time later: a crash that loses what was in memory. All at once: a power failure of disks
//! that keep what they were given.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::world::World;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "kill",
    text: "SIGKILL to the leader, one, a minority or all, and a start later",
    lane: Lane::Process,
    need: Need::Nothing,
    lasts_ms: (100, 3000),
    draw: |random, masters| Box::new(Kill { who: Who::draw(random, masters, true), struck: BTreeSet::new() }),
};

struct Kill {
    who: Who,
    struck: BTreeSet<usize>,
}

impl Fault for Kill {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find(world).await;
            Impact::out(format!("kill {}", who::names(&self.struck)), self.struck.clone())
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.struck.iter().try_for_each(|index| world.cluster.kill(*index)) }.boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.struck.iter().try_for_each(|index| world.cluster.launch(*index)) }.boxed()
    }
}
