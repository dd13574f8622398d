//! `trireme snapshot save` in the midst of other faults: it need not succeed, but what it leaves is whole and complete.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::{Fault, Impact, Lane, Need, Nemesis};
use crate::history::{Call, End};
use crate::world::World;

/// How long a backup may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The row.
pub static NEMESIS: Nemesis = Nemesis {
    name: "backup",
    text: "a backup is taken, read again, and compared with what had been acknowledged before",
    lane: Lane::Upkeep,
    need: Need::Nothing,
    lasts_ms: (0, 500),
    draw: |_, _| Box::new(Backup),
};

struct Backup;

impl Fault for Backup {
    fn aim<'a>(&'a mut self, _world: &'a World) -> BoxFuture<'a, Impact> {
        async { Impact { text: "backup".to_owned(), ..Impact::default() } }.boxed()
    }

    fn begin<'a>(&'a mut self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        async {
            let process = world.recorder.process();
            // What a master has applied was committed before the backup began.
            let committed = world.timeline.last().map_or(0, |sight| sight.revision);
            let (key, input) = (String::new(), json!(committed));
            let ticket = world.recorder.invoke(Call { process, workload: "backup", f: "save", key, input, master: 0 });
            let file = world.cluster.folder().join(format!("backup-{process}"));
            let end = match world.cluster.save(&file, LIMIT).await {
                Err(why) => End::Fail(format!("{why:#}")),
                Ok(()) => match world.cluster.inspect(&file, LIMIT).await {
                    Ok(found) => End::Ok(json!({"revision": found["revision"], "keys": found["keys"]})),
                    Err(why) => End::Refused { reason: "Damaged".to_owned(), why: format!("{why:#}") },
                },
            };
            world.recorder.complete(ticket, end);
            if file.exists() {
                std::fs::remove_file(&file)?;
            }
            Ok(())
        }
        .boxed()
    }

    fn end<'a>(&'a mut self, _world: &'a World) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }
}
