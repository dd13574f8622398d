//! Compare-and-set by resourceVersion: what every controller in the world stands on.

use futures::FutureExt;
use rand::Rng;

use super::object_client::ObjectClient;
use super::{Need, Workload};

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "cas",
    text: "ConfigMaps replaced or kept at a resourceVersion that was seen, through random masters",
    clients: 3,
    nodes: 0,
    need: Need::Nothing,
    run: |world, number| {
        async move {
            let mut client = ObjectClient::new(world, "cas", number);
            while !client.world.is_over() {
                let key = client.key();
                match client.random.random_range(0..100) {
                    0..8 => client.create(&key).await,
                    8..48 => client.cas(&key).await,
                    48..68 => client.keep(&key).await,
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
