//! Registers: read and overwrite, without conditions.

use futures::FutureExt;
use rand::Rng;

use super::object_client::ObjectClient;
use super::{Need, Workload};

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "register",
    text: "ConfigMaps read and overwritten through random masters",
    clients: 3,
    nodes: 0,
    need: Need::Nothing,
    run: |world, number| {
        async move {
            let mut client = ObjectClient::new(world, "register", number);
            while !client.world.is_over() {
                let key = client.key();
                match client.random.random_range(0..100) {
                    0..8 => client.create(&key).await,
                    8..45 => client.write(&key).await,
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
