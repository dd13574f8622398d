//! `./x bench rolling`: a Deployment of many pods rolls to a new version while leaders die, again and again.
//!
//! One watch on a front-door-like rotation of masters sees every revision of every pod and checks the promise at each:
//! at most desired + surge pods that are not terminating, at least desired − unavailable available ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests_e2e::{Client, Cluster};
use tokio::sync::watch;

use crate::failover::wait_for;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Pods of the Deployment.
    #[arg(long, default_value_t = 1000)]
    replicas: usize,
    /// Nodes to run them on.
    #[arg(long, default_value_t = 12)]
    nodes: usize,
    /// Seconds between kills of the leader.
    #[arg(long, default_value_t = 5)]
    kill_every_s: u64,
    /// From running to ready, of each pod: long enough that the roll outlasts several leaders.
    #[arg(long, default_value_t = 10_000)]
    ready_delay_ms: u64,
}

/// What the watch has seen of the Deployment's pods.
#[derive(Default)]
struct Pods {
    /// Of each pod: whether it is available, whether it is terminating.
    seen: BTreeMap<String, (bool, bool)>,
    most_alive: usize,
    fewest_available: usize,
    events: usize,
}

impl Pods {
    /// What stands when the roll begins. The bounds hold of the whole, not of each item on the way to it.
    fn begin(items: &Value) -> Self {
        let mut pods = Self::default();
        for item in items.as_array().into_iter().flatten() {
            pods.take(&json!({"type": "ADDED", "object": item}));
        }
        pods.most_alive = pods.alive();
        pods.fewest_available = pods.available();
        pods
    }

    fn alive(&self) -> usize {
        self.seen.values().filter(|(_, terminating)| !terminating).count()
    }

    fn available(&self) -> usize {
        self.seen.values().filter(|(available, _)| *available).count()
    }

    fn take(&mut self, event: &Value) {
        let object = &event["object"];
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str() {
            Some("DELETED") => drop(self.seen.remove(&name)),
            Some("ADDED" | "MODIFIED") => {
                let ready = object["status"]["conditions"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
                let terminating = object["metadata"]["deletionTimestamp"].is_string();
                self.seen.insert(name, (ready && !terminating, terminating));
            }
            _ => return,
        }
        self.events += 1;
        self.most_alive = self.most_alive.max(self.alive());
        self.fewest_available = self.fewest_available.min(self.available());
    }
}

/// Runs the benchmark.
///
/// # Errors
/// When the promise is broken at any revision, or the roll does not end.
pub async fn run(args: Args) -> Result<()> {
    let cluster = Cluster::up(3, args.nodes)?;
    let client = cluster.client(0).await?;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    client.post(path, &deployment(&args)).await?.success().context("creating the Deployment")?;
    wait_until_rolled(&cluster, args.replicas, "1").await.context("the first version")?;

    let list =
        cluster.client(0).await?.get("/api/v1/namespaces/default/pods?labelSelector=app%3Drolling").await?.success()?;
    let pods = Arc::new(Mutex::new(Pods::begin(&list["items"])));
    let revision = list["metadata"]["resourceVersion"].as_str().context("a resourceVersion")?.to_owned();
    let (stop, stopped) = watch::channel(false);
    let addresses = [cluster.api(0), cluster.api(1), cluster.api(2)];
    let watching =
        tokio::spawn(follow(addresses, cluster.credentials().clone(), revision, pods.clone(), stopped.clone()));

    let begun = Instant::now();
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}});
    client.merge(&format!("{path}/rolling"), &patch).await?.success()?;
    let kills = roll_with_kills(&cluster, &args).await?;
    let took = begun.elapsed();
    // The watch must have seen the end before it is judged.
    wait_for(Duration::from_secs(30), || pods.lock().expect("no panic while held").seen.len() == args.replicas).await?;
    stop.send_replace(true);
    watching.await??;

    let seen = pods.lock().expect("no panic while held");
    let (surge, unavailable) = (args.replicas.div_ceil(4), args.replicas / 4);
    println!(
        "{:#}",
        json!({
            "benchmark": "rolling", "replicas": args.replicas, "leader_kills": kills, "took_s": took.as_secs_f64(), "events": seen.events,
            "most_not_terminating": seen.most_alive, "allowed": args.replicas + surge,
            "fewest_available": seen.fewest_available, "needed": args.replicas - unavailable,
        })
    );
    ensure!(kills > 0, "the roll ended before the first kill: it shows nothing");
    ensure!(seen.most_alive <= args.replicas + surge, "{} pods that were not terminating", seen.most_alive);
    ensure!(seen.fewest_available >= args.replicas - unavailable, "only {} available pods", seen.fewest_available);
    Ok(())
}

fn deployment(args: &Args) -> Value {
    let annotations = json!({"version": "1", "simulated.trireme.io/ready-delay-ms": args.ready_delay_ms.to_string()});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "rolling"},
        "spec": {
            "replicas": args.replicas, "selector": {"matchLabels": {"app": "rolling"}},
            "template": {
                "metadata": {"labels": {"app": "rolling"}, "annotations": annotations},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "app:1"}]},
            },
        },
    })
}

async fn any_client(cluster: &Cluster) -> Result<Client> {
    for index in 0..3 {
        if let Ok(client) = cluster.client(index).await {
            return Ok(client);
        }
    }
    anyhow::bail!("no master answers")
}

async fn rolled(cluster: &Cluster, replicas: usize, version: &str) -> Result<bool> {
    let reply =
        any_client(cluster).await?.get("/apis/apps/v1/namespaces/default/deployments/rolling").await?.success()?;
    let status = |field: &str| reply["status"][field].as_u64().unwrap_or(0) as usize;
    Ok(reply["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == version
        && reply["status"]["observedGeneration"] == reply["metadata"]["generation"]
        && [status("updatedReplicas"), status("availableReplicas"), status("replicas")] == [replicas; 3])
}

async fn wait_until_rolled(cluster: &Cluster, replicas: usize, version: &str) -> Result<()> {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while !rolled(cluster, replicas, version).await.unwrap_or(false) {
        ensure!(begun.elapsed() < Duration::from_secs(300), "not rolled after five minutes");
        tick.tick().await;
    }
    Ok(())
}

async fn roll_with_kills(cluster: &Cluster, args: &Args) -> Result<usize> {
    let begun = Instant::now();
    let mut kills = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut last_kill = Instant::now();
    while !rolled(cluster, args.replicas, "2").await.unwrap_or(false) {
        ensure!(begun.elapsed() < Duration::from_secs(600), "the roll does not end");
        if last_kill.elapsed() >= Duration::from_secs(args.kill_every_s) {
            let name = format!("m{}", cluster.leader().await? + 1);
            cluster.kill(&name)?;
            kills += 1;
            wait_for(Duration::from_secs(5), || cluster.pid(&name).is_ok()).await?;
            cluster.start(&name)?;
            last_kill = Instant::now();
        }
        tick.tick().await;
    }
    Ok(kills)
}

/// Watches the pods from `revision` on, over whichever master lives, resuming where a broken watch ended.
async fn follow(
    addresses: [std::net::SocketAddr; 3],
    credentials: tests_e2e::client::Credentials,
    mut revision: String,
    pods: Arc<Mutex<Pods>>,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    for attempt in 0.. {
        let address = addresses[attempt % 3];
        let Ok(client) = Client::connect(address, &credentials).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let path = format!(
            "/api/v1/namespaces/default/pods?watch=true&labelSelector=app%3Drolling&resourceVersion={revision}"
        );
        let Ok(mut events) = client.watch(&path).await else { continue };
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            };
            let Ok(Some(event)) = event else { break };
            ensure!(event["type"] != "ERROR", "the watch was refused: {event}");
            if let Some(seen) = event["object"]["metadata"]["resourceVersion"].as_str() {
                revision = seen.to_owned();
            }
            pods.lock().expect("no panic while held").take(&event);
        }
    }
    Ok(())
}
