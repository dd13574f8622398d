//! Whole lives of objects: created, replaced, patched, deleted, with and without preconditions.

use futures::FutureExt;
use rand::Rng;

use super::object_client::ObjectClient;
use super::{Need, Workload};

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "objects",
    text: "ConfigMaps created, updated, patched and deleted, with preconditions and without",
    clients: 4,
    nodes: 0,
    need: Need::Nothing,
    run: |world, number| {
        async move {
            let mut client = ObjectClient::new(world, "objects", number);
            while !client.world.is_over() {
                let key = client.key();
                match client.random.random_range(0..100) {
                    0..20 => client.create(&key).await,
                    20..28 => client.write(&key).await,
                    28..36 => client.patch(&key).await,
                    36..48 => client.cas(&key).await,
                    48..62 => client.keep(&key).await,
                    62..68 => client.delete(&key).await,
                    68..75 => client.delete_seen(&key).await,
                    _ => client.read(&key).await,
                }
                client.breathe().await;
            }
            Ok(())
        }
        .boxed()
    },
    last: None,
};
