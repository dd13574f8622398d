//! One master goes back to the build before, in the two moves of an operator, and later to the present one.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use tests_e2e::build::Build;

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::cluster::{SERVING_LIMIT, STOP_LIMIT};
use crate::world::World;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "upgrade",
    text: "the leader or one other is replaced by the build before (TRIREME_PREVIOUS, or this one at a lower level), and back",
    lane: Lane::Process,
    need: Need::Nothing,
    lasts_ms: (500, 3000),
    draw: |random, masters| Box::new(Upgrade { who: Who::draw_one(random, masters), struck: BTreeSet::new() }),
};

struct Upgrade {
    who: Who,
    struck: BTreeSet<usize>,
}

async fn replace(world: &World, index: usize, build: &Build) -> Result<()> {
    world.cluster.stop(index, STOP_LIMIT).await?;
    world.cluster.launch_as(index, build)
}

impl Fault for Upgrade {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find(world).await;
            Impact::out(format!("another build of {}", who::names(&self.struck)), self.struck.clone())
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            for index in &self.struck {
                // What the build before cannot read is written no more once one member says that it works as that does.
                replace(world, *index, &Build::lowered()).await?;
                // An operator goes no further where it does not come back, or others are told nothing.
                let serves = world.cluster.serving(*index, SERVING_LIMIT).await.is_ok();
                if serves && world.cluster.works_low(SERVING_LIMIT).await {
                    replace(world, *index, &Build::previous()).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            for index in &self.struck {
                replace(world, *index, &Build::present()).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
