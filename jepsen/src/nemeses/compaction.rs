//! History is forgotten up to some recent revision, at whatever moment, beside all other faults.

use anyhow::Result;
use api_proto::etcd::etcdserverpb::CompactionRequest;
use api_proto::etcd::etcdserverpb::kv_client::KvClient;
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::Rng;
use serde_json::{Value, json};

use super::{Fault, Impact, Lane, Need, Nemesis};
use crate::etcd;
use crate::history::{Call, End};
use crate::world::World;

/// Reaches back so many revisions at most: watches that resume meet it.
const REACH: u64 = 200;

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "compaction",
    text: "history is compacted to a recent revision, through a random master",
    lane: Lane::Upkeep,
    need: Need::Etcd,
    lasts_ms: (0, 500),
    draw: |random, masters| {
        Box::new(Compact { master: random.random_range(0..masters), back: random.random_range(0..REACH) })
    },
};

struct Compact {
    master: usize,
    back: u64,
}

impl Fault for Compact {
    fn aim<'a>(&'a mut self, _world: &'a World) -> BoxFuture<'a, Impact> {
        async { Impact { text: "compaction".to_owned(), ..Impact::default() } }.boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            let newest = world.timeline.last().map_or(0, |sight| sight.revision);
            let revision = newest.saturating_sub(self.back);
            let (process, key, master) = (world.recorder.process(), String::new(), self.master);
            let input = json!(revision);
            let call = Call { process, workload: "compaction", f: "compact", key, input, master };
            let ticket = world.recorder.invoke(call);
            let end = match compact(world, master, revision).await {
                Ok(()) => End::Ok(Value::Null),
                Err(why) => End::Info(format!("{why:#}")),
            };
            world.recorder.complete(ticket, end);
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, _world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

async fn compact(world: &World, master: usize, revision: u64) -> Result<()> {
    let channel = etcd::connect(&world.cluster, master).await?;
    let request = CompactionRequest { revision: i64::try_from(revision)?, physical: false };
    tokio::time::timeout(etcd::REQUEST_LIMIT, KvClient::new(channel).compact(request)).await??;
    Ok(())
}
