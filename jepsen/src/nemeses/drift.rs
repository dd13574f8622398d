//! Wall clocks that run too fast or too slow, each master's for itself, until they are set right.

use std::collections::BTreeSet;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::Rng;
use tokio::task::JoinHandle;

use super::{Fault, Impact, Lane, Need, Nemesis, Who, who};
use crate::world::World;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "clock-drift",
    text: "the wall clocks of the leader, one, a minority or all run up to a half too fast or too slow, and are set right",
    lane: Lane::Network,
    need: Need::Clock,
    lasts_ms: (2000, 8000),
    draw: |random, masters| {
        // Machines that are a hundredth wrong are broken; half is what a virtual one shows that is being moved.
        let most = [1.0, 10.0, 50.0][random.random_range(0..3)];
        let percent = random.random_range(-most..most);
        Box::new(Drift { who: Who::draw(random, masters, true), percent, struck: BTreeSet::new(), running: Vec::new() })
    },
};

struct Drift {
    who: Who,
    /// How much too fast they run, in hundredths.
    percent: f64,
    struck: BTreeSet<usize>,
    running: Vec<JoinHandle<()>>,
}

impl Drop for Drift {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

impl Fault for Drift {
    fn aim<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Impact> {
        async {
            self.struck = self.who.find(world).await;
            let text = format!("clock of {} drifts by {:+.1} %", who::names(&self.struck), self.percent);
            Impact { text, ..Impact::default() }
        }
        .boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            let drift = |index: &usize| world.cluster.drift_clock(*index, self.percent);
            self.running = self.struck.iter().map(drift).collect();
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            for clock in self.running.drain(..) {
                clock.abort();
                // It ends as we wish; until it has, it may write.
                let _ = clock.await;
            }
            self.struck.iter().try_for_each(|index| world.cluster.set_clock(*index, 0.0))
        }
        .boxed()
    }
}
