//! Many watchers of one resource while many writers write to it.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests_e2e::Client;

use super::load::{Meter, load};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A watcher that has not got everything by then was left behind.
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates `writes` ConfigMaps from `writers` workers under the eyes of `watchers`, until all have seen all.
///
/// # Errors
/// When a write or the opening of a watch fails. Watchers that are cut off are counted.
pub(super) async fn measure(
    clients: &[Client],
    servers: &[i32],
    watchers: usize,
    writers: usize,
    writes: usize,
) -> Result<Value> {
    let list = clients[0].get(&format!("{CONFIG_MAPS}?limit=1")).await?.success()?;
    let revision = list["metadata"]["resourceVersion"].as_str().context("a list without a revision")?.to_owned();
    let mut watching = Vec::new();
    for number in 0..watchers {
        let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={revision}");
        let mut watch = clients[number % clients.len()].watch(&path).await?;
        watching.push(tokio::spawn(async move {
            let mut seen = 0;
            while seen < writes {
                match tokio::time::timeout(PATIENCE, watch.skip()).await {
                    Ok(Ok(Some(events))) => seen += events,
                    _ => break,
                }
            }
            seen
        }));
    }
    let meter = Meter::start(servers)?;
    let created = load(clients, servers, writers, writes, |client, number| async move {
        let body = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"watched-{number}\"}},\
             \"data\":{{\"key\":\"{number}\"}}}}"
        );
        client.post_bytes(CONFIG_MAPS, body.into()).await?.ok()
    })
    .await?;
    let mut events = 0;
    let mut cut_off = 0;
    for watcher in watching {
        let seen = watcher.await?;
        events += seen;
        cut_off += usize::from(seen < writes);
    }
    let measured = meter.stop(events)?;
    Ok(json!({
        "creates_per_second": created["per_second"], "events_per_second": measured["per_second"],
        "cpu_us": measured["cpu_us"], "client_cpu_us": measured["client_cpu_us"], "cut_off": cut_off,
    }))
}
