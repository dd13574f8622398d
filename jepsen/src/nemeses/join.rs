//! A further master joins by token, catches up and serves, and is removed again: `trireme cluster add` and `remove`.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Fault, Impact, Lane, Need, Nemesis};
use crate::cluster;
use crate::history::{Call, End};
use crate::world::World;

/// How long an order, or the joiner, may take.
const ORDER_LIMIT: Duration = Duration::from_secs(15);
/// One that was removed drains for as long as it has clients, and ends.
const ENDING_LIMIT: Duration = Duration::from_secs(20);

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "join",
    text: "a further master joins by token, catches up, and is removed again",
    lane: Lane::Process,
    need: Need::Room,
    lasts_ms: (500, 4000),
    draw: |_, _| Box::new(Join),
};

struct Join;

impl Fault for Join {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        let text = format!("{} joins", cluster::name(world.cluster.spare()));
        async { Impact { text, ..Impact::default() } }.boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        noted(world, "join", join(world)).map(Ok).boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            noted(world, "remove", remove(world)).await;
            world.cluster.kill(world.cluster.spare())
        }
        .boxed()
    }
}

async fn join(world: &World) -> Result<Value> {
    let spare = world.cluster.spare();
    world.cluster.join(ORDER_LIMIT).await?;
    world.cluster.serving(spare, ORDER_LIMIT).await?;
    Ok(json!("serves"))
}

async fn remove(world: &World) -> Result<Value> {
    let spare = world.cluster.spare();
    let removed = world.cluster.order(&["remove", &cluster::name(spare)], ORDER_LIMIT).await?;
    if world.cluster.ends(spare, ENDING_LIMIT).await {
        return Ok(removed);
    }
    anyhow::bail!("it was removed, and does not end")
}

/// Notes how an order went. That it came to nothing is no failure: a fault of the network may keep it from all leaders.
async fn noted(world: &World, f: &'static str, order: impl Future<Output = Result<Value>>) {
    let master = world.cluster.spare();
    let (process, key) = (world.recorder.process(), String::new());
    let input = json!(cluster::name(master));
    let ticket = world.recorder.invoke(Call { process, workload: "orders", f, key, input, master });
    let end = order.await.map_or_else(|why| End::Info(format!("{why:#}")), End::Ok);
    world.recorder.complete(ticket, end);
}
