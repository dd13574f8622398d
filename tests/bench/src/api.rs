//! `./x bench api`: the API of three masters against kube-apiserver on three etcd, with the same client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tests_e2e::{Client, Cluster};

use crate::peers::{self, Peer};
use crate::usage;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Pods to create.
    #[arg(long, default_value_t = 20_000)]
    pods: usize,
    /// Gets to send.
    #[arg(long, default_value_t = 50_000)]
    gets: usize,
    /// Requests in flight.
    #[arg(long, default_value_t = 64)]
    workers: usize,
    /// Connections that they share.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Pods of the Deployments that are timed until bound (as 10 Deployments).
    #[arg(long, default_value_t = 3000)]
    deployed: usize,
    /// Leave the peer out.
    #[arg(long)]
    alone: bool,
}

/// A control plane under test.
struct Subject<'a> {
    name: &'static str,
    clients: Vec<Client>,
    pids: Vec<i32>,
    args: &'a Args,
}

/// Runs the benchmark and prints its table.
///
/// # Errors
/// When a server does not start or answers with an error.
pub async fn run(args: Args) -> Result<()> {
    let ours = measure_trireme(&args).await?;
    let theirs = match peers::binaries() {
        _ if args.alone => None,
        Some(bin) => Some(measure_peer(&args, &bin).await?),
        None => {
            println!(
                "kube-apiserver and etcd are not at hand (TRIREME_PEERS names no folder with them): no comparison"
            );
            None
        }
    };
    println!("{:#}", json!({"benchmark": "api", "trireme": ours, "kubernetes": theirs}));
    if let Some(theirs) = theirs {
        let ratio = |path: &str| match (
            ours.pointer(path).and_then(Value::as_f64),
            theirs.pointer(path).and_then(Value::as_f64),
        ) {
            (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
            _ => "-".to_owned(),
        };
        println!("ratios, Trireme to kube-apiserver:");
        for path in [
            "/create/per_second",
            "/create/cpu_us",
            "/get/per_second",
            "/get/cpu_us",
            "/list_s",
            "/memory_mb/sum",
            "/bound_per_second",
        ] {
            println!("  {path:<24}{}", ratio(path));
        }
    }
    Ok(())
}

async fn measure_trireme(args: &Args) -> Result<Value> {
    let cluster = Cluster::up(3, 0)?;
    let mut clients = Vec::new();
    for index in 0..args.connections {
        clients.push(cluster.client(index % 3).await?);
    }
    let pids = ["m1", "m2", "m3"].iter().map(|name| cluster.pid(name)).collect::<Result<Vec<_>>>()?;
    Subject { name: "trireme", clients, pids, args }.measure().await
}

async fn measure_peer(args: &Args, bin: &std::path::Path) -> Result<Value> {
    let peer = Peer::start(bin, true).await?;
    let mut clients = Vec::new();
    for _ in 0..args.connections {
        clients.push(peer.client().await?);
    }
    let pids = peer.server_pids();
    Subject { name: "kubernetes", clients, pids, args }.measure().await
}

fn pod(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("pod-{number}"), "labels": {"app": "bench", "shard": (number % 100).to_string()}},
        "spec": {
            // No scheduler takes these: the load is the API's alone, on both sides.
            "schedulerName": "nobody",
            "containers": [{
                "name": "main", "image": "registry.example/app:1.2.3", "ports": [{"containerPort": 8080, "name": "http"}],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5},
            }],
        },
    })
}

impl Subject<'_> {
    async fn measure(&self) -> Result<Value> {
        let idle = usage::of(&self.pids)?;
        self.wait_for_service_account().await?;
        let pods = self.args.pods;
        let create = self
            .load(pods, |client, number| async move {
                let reply = client.post("/api/v1/namespaces/default/pods", &pod(number)).await?;
                reply.success().map(drop)
            })
            .await
            .context("create")?;
        println!("{}: create {create}", self.name);
        let get = self
            .load(self.args.gets, move |client, number| async move {
                let reply = client.get(&format!("/api/v1/namespaces/default/pods/pod-{}", number % pods)).await?;
                anyhow::ensure!(reply.status.is_success(), "{}", reply.status);
                Ok(())
            })
            .await
            .context("get")?;
        println!("{}: get {get}", self.name);
        let mut list_s = f64::MAX;
        let mut list_mb = 0.0;
        for _ in 0..5 {
            let begun = Instant::now();
            let reply = self.clients[0].get("/api/v1/namespaces/default/pods").await?;
            anyhow::ensure!(reply.status.is_success(), "list: {}", reply.status);
            list_s = list_s.min(begun.elapsed().as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "a size in megabytes")]
            {
                list_mb = reply.body.len() as f64 / 1e6;
            }
        }
        let loaded: Vec<u64> = self
            .pids
            .iter()
            .map(|pid| usage::of(&[*pid]).map(|u| u.memory_bytes / 1_000_000))
            .collect::<Result<_>>()?;
        let bound = self.deployment_to_bound().await?;
        Ok(json!({
            "create": create, "get": get, "list_s": list_s, "list_mb": list_mb,
            "memory_mb": {"idle_sum": idle.memory_bytes / 1_000_000, "each": loaded, "sum": loaded.iter().sum::<u64>()},
            "bound_per_second": bound,
        }))
    }

    /// Pods are refused until the namespace has its ServiceAccount.
    async fn wait_for_service_account(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let reply = self.clients[0].get("/api/v1/namespaces/default/serviceaccounts/default").await?;
            if reply.status.is_success() {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "no default ServiceAccount after 30 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends `count` requests from all workers; rates, latencies, and the servers' processor time for each.
    async fn load<F, R>(&self, count: usize, request: F) -> Result<Value>
    where
        F: Fn(Client, usize) -> R + Clone + Send + 'static,
        R: Future<Output = Result<()>> + Send,
    {
        let next = Arc::new(AtomicUsize::new(0));
        let before = usage::of(&self.pids)?;
        let begun = Instant::now();
        let mut workers = Vec::new();
        for worker in 0..self.args.workers {
            let (next, request) = (next.clone(), request.clone());
            let client = self.clients[worker % self.clients.len()].clone();
            workers.push(tokio::spawn(async move {
                let mut latencies = Histogram::<u64>::new(3)?;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return anyhow::Ok(latencies);
                    }
                    let sent = Instant::now();
                    request(client.clone(), number).await?;
                    latencies.record(u64::try_from(sent.elapsed().as_micros())?)?;
                }
            }));
        }
        let mut latencies = Histogram::<u64>::new(3)?;
        for worker in workers {
            latencies.add(worker.await??)?;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        let cpu = usage::of(&self.pids)?.cpu.saturating_sub(before.cpu).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts and microseconds are far below 2^52")]
        let (requests, p50, p99) =
            (count as f64, latencies.value_at_quantile(0.5) as f64, latencies.value_at_quantile(0.99) as f64);
        Ok(json!({
            "per_second": (requests / elapsed).round(), "p50_ms": p50 / 1e3, "p99_ms": p99 / 1e3,
            "cpu_us": (cpu / requests * 1e6).round(),
        }))
    }

    /// Ten Deployments on nodes without agents: pods bound per second, from the first POST to the last binding.
    async fn deployment_to_bound(&self) -> Result<f64> {
        let client = &self.clients[0];
        for number in 0..self.args.deployed.div_ceil(100) {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("bench-{number}")}});
            client.post("/api/v1/nodes", &node).await?.success()?;
            let ready = json!({"status": {
                "capacity": {"cpu": "64", "memory": "256Gi", "pods": "200"},
                "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "200"},
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            }});
            client.merge(&format!("/api/v1/nodes/bench-{number}/status"), &ready).await?.success()?;
            // Created by hand, so that nobody takes the taint off that every new node carries.
            client
                .merge(&format!("/api/v1/nodes/bench-{number}"), &json!({"spec": {"taints": []}}))
                .await?
                .success()?;
        }
        let begun = Instant::now();
        for number in 0..10 {
            let mut template = pod(0)["spec"].clone();
            template["schedulerName"] = json!("default-scheduler");
            let name = format!("bench-{number}");
            let deployment = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                "spec": {
                    "replicas": self.args.deployed / 10,
                    "selector": {"matchLabels": {"deployment": name}},
                    "template": {"metadata": {"labels": {"deployment": name, "timed": "yes"}}, "spec": template},
                },
            });
            client.post("/apis/apps/v1/namespaces/default/deployments", &deployment).await?.success()?;
        }
        let path = "/api/v1/namespaces/default/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                    &resourceVersion=0&allowWatchBookmarks=true&labelSelector=timed%3Dyes";
        let mut events = client.watch(path).await?;
        let mut bound = std::collections::BTreeSet::new();
        while bound.len() < self.args.deployed / 10 * 10 {
            let event =
                tokio::time::timeout(Duration::from_secs(300), events.next()).await??.context("the watch ended")?;
            if event["object"]["spec"]["nodeName"].is_string() {
                bound.insert(event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned());
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousand pods")]
        let rate = bound.len() as f64 / begun.elapsed().as_secs_f64();
        println!("{}: {rate:.0} pods per second from Deployment to bound", self.name);
        Ok(rate)
    }
}
