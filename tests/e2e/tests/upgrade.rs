//! Masters are replaced by a newer build one at a time, and by the older one again, under load, and no request fails.
//!
//! `TRIREME_PREVIOUS` names a binary of the previous build; without it, the binary under test plays it, at a lower level.

#![allow(missing_docs)]

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use serde_json::{Value, json};
use tests_e2e::build::Build;
use tests_e2e::cluster::{Cluster, binary};
use tests_e2e::{Client, Reply};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WRITERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);

/// A client as others are: it takes a new connection when the server has said goodbye to the old one, and sends again what the
/// old one did not take, or may not have taken.
struct Patient {
    cluster: Arc<Cluster>,
    connection: Option<Client>,
}

impl Patient {
    /// Creates an object whose name nobody else uses.
    async fn post(&mut self, object: &Value) -> Result<Reply> {
        let mut maybe_taken = false;
        loop {
            let client = match self.connection.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => Client::connect(self.cluster.front(), self.cluster.credentials()).await?,
            };
            match client.post(CONFIG_MAPS, object).await {
                Ok(mut reply) => {
                    if maybe_taken && reply.status == StatusCode::CONFLICT {
                        reply.status = StatusCode::CREATED;
                    }
                    self.connection = Some(client);
                    return Ok(reply);
                }
                Err(error) => match error.downcast_ref::<hyper::Error>() {
                    // It was never sent: taken back, or the connection was found closed when it was its turn.
                    Some(error) if error.is_canceled() || error.is_closed() => {}
                    Some(error) if said_goodbye(error) => maybe_taken = true,
                    _ => return Err(error),
                },
            }
        }
    }
}

/// Whether a request met the server's goodbye (RFC 9113, section 6.8) on its way out. The server answers what it took before;
/// but hyper gives a request up when the goodbye is read, on another thread, between its opening of the stream and its next look
/// at the connection, and then nobody knows whether it went out.
fn said_goodbye(error: &hyper::Error) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
}

/// Writers that never pause.
struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    writers: Vec<tokio::task::JoinHandle<(u64, Vec<String>)>>,
}

impl Load {
    fn start(cluster: &Arc<Cluster>) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicU64>::default());
        let writer = |number: usize| {
            let (stop, written) = (stop.clone(), written.clone());
            let client = Patient { cluster: cluster.clone(), connection: None };
            tokio::spawn(write(number, client, stop, written))
        };
        let writers = (0..WRITERS).map(writer).collect();
        Self { stop, written, writers }
    }

    /// Waits until so many more are written.
    async fn more(&self, count: u64) -> Result<()> {
        let (from, begun) = (self.written.load(Ordering::Relaxed), Instant::now());
        while self.written.load(Ordering::Relaxed) < from + count {
            ensure!(begun.elapsed() < PATIENCE, "nothing is written any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// How many each wrote; a request that failed is an error.
    async fn end(self) -> Result<Vec<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut counts = Vec::new();
        for writer in self.writers {
            let (count, failures) = writer.await?;
            ensure!(failures.is_empty(), "{} of {} requests failed: {}", failures.len(), count, failures.join("\n"));
            counts.push(count);
        }
        Ok(counts)
    }
}

async fn write(
    number: usize,
    mut client: Patient,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
) -> (u64, Vec<String>) {
    let mut failures = Vec::new();
    let mut count = 0;
    // Large enough that its entry is worth compressing.
    let text = "all work and no play ".repeat(100);
    while !stop.load(Ordering::Relaxed) {
        let object = json!({"metadata": {"name": format!("w{number}-{count}")}, "data": {"text": text}});
        match client.post(&object).await {
            Ok(reply) if reply.status.is_success() => drop(written.fetch_add(1, Ordering::Relaxed)),
            Ok(reply) => failures.push(format!("{}: {}", reply.status, String::from_utf8_lossy(&reply.body))),
            Err(error) => failures.push(format!("{error:#}")),
        }
        count += 1;
    }
    (count, failures)
}

/// Waits until the leader tells this level of the cluster; what it tells of itself.
async fn level(cluster: &Cluster, expected: u64) -> Result<Value> {
    let begun = Instant::now();
    let mut told = Value::Null;
    while begun.elapsed() < PATIENCE {
        told = cluster.standing(cluster.leader().await?).await?;
        // Builds from before levels tell none.
        if told["clusterLevel"].as_u64().unwrap_or(1) == expected {
            return Ok(told);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("the cluster does not come to level {expected}: {told}")
}

/// Entries that a master compressed while it led.
async fn compressed(cluster: &Cluster, index: usize) -> Result<f64> {
    let metrics = cluster.client(index).await?.get("/metrics").await?;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("trireme_raft_compressed_entries_total "));
    Ok(line.context("the counter")?.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_are_replaced_one_at_a_time_without_a_failed_request() -> Result<()> {
    let (previous, lowered) = (Build::previous(), Build::lowered());
    let cluster = Arc::new(Cluster::started_by(&previous.binary, 3, 0, &previous.variables)?);
    let load = Load::start(&cluster);
    level(&cluster, 1).await?;
    load.more(100).await?;

    for name in ["m1", "m2", "m3"] {
        level(&cluster, 1).await?;
        cluster.local_by(&binary(), &[], &["stop", name])?;
        cluster.local_by(&binary(), &[], &["start", name])?;
        load.more(50).await?;
    }
    let newest = level(&cluster, 2).await?;
    ensure!(newest["level"] == 2, "{newest}");
    load.more(50).await?;
    let leader = cluster.leader().await?;
    ensure!(compressed(&cluster, leader).await? > 0.0, "what the new build can do is not used");
    cluster.local_by(&binary(), &[], &["renew"])?;
    load.more(50).await?;

    // One step back: first nothing new is written any more, then builds are replaced.
    let kept_low = (leader + 1) % 3;
    let name = |index: usize| format!("m{}", index + 1);
    cluster.local_by(&binary(), &[], &["stop", &name(kept_low)])?;
    cluster.local_by(&lowered.binary, &lowered.variables, &["start", &name(kept_low)])?;
    level(&cluster, 1).await?;
    let leader = cluster.leader().await?;
    let before = compressed(&cluster, leader).await?;
    load.more(100).await?;
    if cluster.leader().await? == leader {
        // A round may have been under way when the word went out.
        ensure!(compressed(&cluster, leader).await? <= before + 3.0, "an older build could not read what is written");
    }
    let stepped_down = name((kept_low + 1) % 3);
    cluster.local_by(&binary(), &[], &["stop", &stepped_down])?;
    cluster.local_by(&previous.binary, &previous.variables, &["start", &stepped_down])?;
    load.more(100).await?;

    let counts = load.end().await?;
    let listed = cluster.client(kept_low).await?.get(CONFIG_MAPS).await?.success()?;
    let found = listed["items"].as_array().context("items")?;
    let ours = found.iter().filter(|item| item["metadata"]["name"].as_str().is_some_and(|name| name.starts_with('w')));
    ensure!(ours.count() as u64 == counts.iter().sum::<u64>(), "what was acknowledged is there");
    Ok(())
}
