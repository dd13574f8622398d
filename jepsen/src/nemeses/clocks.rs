//! Wall clocks that jump, forth and back, each master's for itself.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::Rng;

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::world::World;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "clock",
    text: "the wall clocks of the leader, one, a minority or all jump by up to an hour, and back",
    lane: Lane::Network,
    need: Need::Clock,
    lasts_ms: (500, 5000),
    draw: |random, masters| {
        let furthest = [2, 60, 3600][random.random_range(0..3)];
        let seconds = random.random_range(-furthest..=furthest);
        Box::new(Jump { who: Who::draw(random, masters, true), seconds, struck: BTreeSet::new() })
    },
};

struct Jump {
    who: Who,
    seconds: i32,
    struck: BTreeSet<usize>,
}

impl Fault for Jump {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find(world).await;
            let text = format!("clock of {} {:+} s", who::names(&self.struck), self.seconds);
            Impact { text, ..Impact::default() }
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.struck.iter().try_for_each(|index| world.cluster.set_clock(*index, f64::from(self.seconds))) }
            .boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { self.struck.iter().try_for_each(|index| world.cluster.set_clock(*index, 0.0)) }.boxed()
    }
}
