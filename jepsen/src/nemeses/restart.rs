//! SIGTERM, and a start as soon as the process has ended: what an operator does to one master after another.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::cluster::STOP_LIMIT;
use crate::world::World;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "restart",
    text: "SIGTERM to the leader or one other, and a start when it has ended",
    lane: Lane::Process,
    need: Need::Nothing,
    lasts_ms: (0, 500),
    draw: |random, masters| Box::new(Restart { who: Who::draw_one(random, masters), struck: BTreeSet::new() }),
};

struct Restart {
    who: Who,
    struck: BTreeSet<usize>,
}

impl Fault for Restart {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find(world).await;
            Impact::out(format!("restart {}", who::names(&self.struck)), self.struck.clone())
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            for index in &self.struck {
                world.cluster.stop(*index, STOP_LIMIT).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.struck.iter().try_for_each(|index| world.cluster.launch(*index)) }.boxed()
    }
}
