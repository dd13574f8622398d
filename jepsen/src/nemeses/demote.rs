//! `trireme cluster demote`, and `promote` later: a master that goes on serving without a vote.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::{Fault, Impact, Lane, Need, Nemesis, Who};
use crate::cluster;
use crate::history::{Call, End};
use crate::world::World;

/// How long an order may take: longer than any fault beside it.
const ORDER_LIMIT: Duration = Duration::from_secs(15);

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "demote",
    text: "the leader or one other loses its vote by order (and a second with it), and gets it back",
    lane: Lane::Process,
    need: Need::Nothing,
    lasts_ms: (500, 4000),
    draw: |random, masters| Box::new(Demote { who: Who::draw_one(random, masters), struck: 0 }),
};

struct Demote {
    who: Who,
    struck: usize,
}

impl Fault for Demote {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find(world).await.first().copied().unwrap_or(0);
            // Of three voters one is left: whatever befalls the network then may cost the quorum.
            Impact { text: format!("demote {}", cluster::name(self.struck)), slows: true, ..Impact::default() }
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        order(world, "demote", self.struck).map(Ok).boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        order(world, "promote", self.struck).map(Ok).boxed()
    }

    fn recovered<'a>(&'a self, world: &'a World, limit: Duration) -> BoxFuture<'a, bool> {
        async move {
            let votes = (0..world.cluster.masters()).map(|index| world.cluster.votes(index, limit));
            futures::future::join_all(votes).await.into_iter().all(|votes| votes)
        }
        .boxed()
    }
}

/// Gives an order and notes how it went. That no leader took it is no failure: there may be none just now.
async fn order(world: &World, order: &'static str, member: usize) {
    let input = json!(cluster::name(member));
    let call = Call {
        process: world.recorder.process(),
        workload: "orders",
        f: order,
        key: String::new(),
        input,
        master: member,
    };
    let ticket = world.recorder.invoke(call);
    let done = world.cluster.order(&[order, &cluster::name(member)], ORDER_LIMIT).await;
    world.recorder.complete(ticket, done.map_or_else(|why| End::Info(format!("{why:#}")), End::Ok));
}
