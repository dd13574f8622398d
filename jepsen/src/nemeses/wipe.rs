//! A master that loses its memory: it is killed, its data folder emptied, and started as if for the first time. It must not
//! vote under its old id; it comes back under a new one, in the place of the member that it was.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::world::World;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "wipe",
    text: "the leader or one other is killed, its data folder emptied, and it is started again",
    lane: Lane::Process,
    need: Need::Nothing,
    lasts_ms: (100, 2000),
    draw: |random, masters| Box::new(Wipe { who: Who::draw_one(random, masters), struck: BTreeSet::new() }),
};

struct Wipe {
    who: Who,
    struck: BTreeSet<usize>,
}

impl Fault for Wipe {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find_spare(world).await;
            Impact::out(format!("wipe {}", who::names(&self.struck)), self.struck.clone())
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            self.struck.iter().try_for_each(|index| {
                world.cluster.kill(*index)?;
                world.cluster.forget(*index, &["data"])
            })
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.struck.iter().try_for_each(|index| world.cluster.launch(*index)) }.boxed()
    }

    /// Until it votes again, the others have one vote less to lose.
    fn recovered<'a>(&'a self, world: &'a World, limit: Duration) -> BoxFuture<'a, bool> {
        async move {
            let votes = self.struck.iter().map(|index| world.cluster.votes(*index, limit));
            futures::future::join_all(votes).await.into_iter().all(|votes| votes)
        }
        .boxed()
    }
}
