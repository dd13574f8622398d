//! From the first POST of a Deployment to the binding of the last pod.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tests_e2e::Client;

use super::load::Meter;
use super::pod_spec;

const DEPLOYMENTS: usize = 10;

/// Nothing happens for so long: it is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// On nodes without agents, as many as the pods need. Bindings are all that happens to the pods.
///
/// # Errors
/// When an answer is an error.
pub(super) async fn on_bare_nodes(client: &Client, servers: &[i32], pods: usize) -> Result<Value> {
    for number in 0..pods.div_ceil(100) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("bench-{number}")}});
        client.post("/api/v1/nodes", &node).await?.success()?;
        let ready = json!({"status": {
            "capacity": {"cpu": "64", "memory": "256Gi", "pods": "200"},
            "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "200"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        }});
        client.merge(&format!("/api/v1/nodes/bench-{number}/status"), &ready).await?.success()?;
        // Created by hand, so that nobody takes the taint off that every new node carries.
        let untainted = json!({"spec": {"taints": []}});
        client.merge(&format!("/api/v1/nodes/bench-{number}"), &untainted).await?.success()?;
    }
    let meter = Meter::start(servers)?;
    let times = deploy(client, pods, false).await?;
    let mut measured = meter.stop(pods)?;
    measured["per_second"] = times.bound_per_second.into();
    Ok(measured)
}

/// On simulated nodes, whose agents run the pods while others are still being bound.
///
/// # Errors
/// When an answer is an error.
pub(super) async fn on_agents(client: &Client, pods: usize) -> Result<Value> {
    let times = deploy(client, pods, true).await?;
    let measured = json!({"bound_per_second": times.bound_per_second, "running_per_second": times.running_per_second});
    println!("trireme: with agents {measured}");
    Ok(measured)
}

struct Times {
    bound_per_second: f64,
    running_per_second: f64,
}

/// What is read of a watch event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    object: Pod<'a>,
}

#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    spec: Spec<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(default)]
    name: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    node_name: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    phase: &'a str,
}

async fn deploy(client: &Client, pods: usize, until_running: bool) -> Result<Times> {
    let each = pods / DEPLOYMENTS;
    let begun = Instant::now();
    for number in 0..DEPLOYMENTS {
        let name = format!("bench-{number}");
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": each,
                "selector": {"matchLabels": {"deployment": name}},
                "template": {
                    "metadata": {"labels": {"deployment": name, "timed": "yes"}},
                    "spec": pod_spec("default-scheduler"),
                },
            },
        });
        client.post("/apis/apps/v1/namespaces/default/deployments", &deployment).await?.success()?;
    }
    let path = "/api/v1/namespaces/default/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                &resourceVersion=0&allowWatchBookmarks=true&labelSelector=timed%3Dyes";
    let mut events = client.watch(path).await?;
    let (mut bound, mut running) = (BTreeSet::new(), BTreeSet::new());
    let mut bound_s = 0.0;
    while bound.len() < each * DEPLOYMENTS || (until_running && running.len() < each * DEPLOYMENTS) {
        let line = tokio::time::timeout(PATIENCE, events.next_line()).await.with_context(|| {
            format!("nothing happens any more: {} pods are bound, {} running", bound.len(), running.len())
        })??;
        // A server may end a watch that it is behind with: whoever follows begins anew, from all there is.
        let Some(line) = line else {
            events = client.watch(path).await?;
            continue;
        };
        let event: Event<'_> = serde_json::from_slice(&line)?;
        if !event.object.spec.node_name.is_empty() && bound.insert(event.object.metadata.name.to_owned()) {
            bound_s = begun.elapsed().as_secs_f64();
        }
        if event.object.status.phase == "Running" {
            running.insert(event.object.metadata.name.to_owned());
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousand pods")]
    let rate = |count: usize, seconds: f64| (count as f64 / seconds).round();
    Ok(Times {
        bound_per_second: rate(bound.len(), bound_s),
        running_per_second: rate(running.len(), begun.elapsed().as_secs_f64()),
    })
}
