//! All masters are told to end and are started again, one after another, each when the one before serves: what an operator does
//! with a cluster.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Fault, Impact, Lane, Need, Nemesis, who};
use crate::cluster::{SERVING_LIMIT, STOP_LIMIT};
use crate::world::World;

const NAME: &str = "rolling";

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: NAME,
    text: "SIGTERM to every master, one after another, each when the one before serves again",
    lane: Lane::Process,
    need: Need::Nothing,
    lasts_ms: (0, 500),
    draw: |_, _| Box::new(Rolling),
};

struct Rolling;

/// One master's turn, noted as a fault of its own: only that master is out, all others have to serve. Whether it serves again.
async fn turn(world: &World, index: usize) -> Result<bool> {
    let struck = [index].into();
    let impact = Impact::out(format!("restart {} of all", who::names(&struck)), struck);
    let number = world.faults.begin(NAME, impact, world.recorder.now());
    world.cluster.stop(index, STOP_LIMIT).await?;
    world.cluster.launch(index)?;
    world.faults.end(number, world.recorder.now());
    let serves = world.cluster.serving(index, SERVING_LIMIT).await.is_ok();
    if serves {
        world.faults.recover(number, world.recorder.now());
    }
    Ok(serves)
}

impl Fault for Rolling {
    fn aim<'a>(&'a mut self, _world: &'a World) -> BoxFuture<'a, Impact> {
        async { Impact { text: "rolling restart".to_owned(), ..Impact::default() } }.boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            for index in 0..world.cluster.masters() {
                // An operator goes no further than a master that does not come back.
                if !turn(world, index).await? {
                    break;
                }
                world.pause(Duration::from_millis(300)).await;
            }
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, _world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }
}
