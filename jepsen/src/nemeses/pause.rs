//! SIGSTOP, and SIGCONT some time later: a process that believes that no time has passed.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::world::World;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "pause",
    text: "SIGSTOP to the leader, one, a minority or all, and SIGCONT later",
    lane: Lane::Process,
    need: Need::Nothing,
    lasts_ms: (100, 4000),
    draw: |random, masters| Box::new(Pause { who: Who::draw(random, masters, true), struck: BTreeSet::new() }),
};

struct Pause {
    who: Who,
    struck: BTreeSet<usize>,
}

impl Fault for Pause {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find(world).await;
            Impact::out(format!("pause {}", who::names(&self.struck)), self.struck.clone())
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.struck.iter().try_for_each(|index| world.cluster.pause(*index, true)) }.boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.struck.iter().try_for_each(|index| world.cluster.pause(*index, false)) }.boxed()
    }
}
