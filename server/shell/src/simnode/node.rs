//! One simulated node: its registration, its heartbeat, its pods.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use server_agent::node::{LEASE_NAMESPACE, LEASE_RENEW_US, Machine};

use super::behaviour::Behaviour;
use super::counts::Counts;
use super::{node_address, pods};
use crate::apiclient::{Client, Error};
use crate::clock::now_us;

/// Between attempts to register.
const RETRY: Duration = Duration::from_millis(500);

/// Runs a node until it is dropped.
pub(super) async fn run(name: String, number: u32, client: Client, behaviour: Behaviour, counts: Arc<Counts>) {
    let machine = Machine {
        address: node_address(number).to_string(),
        cpu: behaviour.node_cpu.clone(),
        memory: behaviour.node_memory.clone(),
        pods: behaviour.node_pods,
        version: format!("v1.37.0-trireme-{}", env!("CARGO_PKG_VERSION")),
        name,
    };
    let uid = register(&machine, &client).await;
    tracing::info!(node = machine.name, "registered");
    counts.registered.inc();
    tokio::join!(heartbeat(&machine, &uid, &client, &counts), pods::run(&machine, number, &client, &behaviour));
}

/// Registers, for as long as it takes, and returns the Node's uid.
async fn register(machine: &Machine, client: &Client) -> String {
    loop {
        let registered = match client.create("/api/v1/nodes", &machine.object(now_us())).await {
            Err(error) if error.code() == 409 => report(machine, client).await,
            other => other,
        };
        match registered {
            Ok(node) => return node["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            Err(error) => {
                tracing::warn!(node = machine.name, %error, "cannot register yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn report(machine: &Machine, client: &Client) -> Result<Value, Error> {
    let path = format!("/api/v1/nodes/{}/status", machine.name);
    client.merge(&path, &json!({"status": machine.status(now_us())})).await
}

/// Renews the Lease, and reports a status anew that others have called unknown.
async fn heartbeat(machine: &Machine, uid: &str, client: &Client, counts: &Counts) {
    let period = Duration::from_micros(LEASE_RENEW_US.unsigned_abs());
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let renewed = renew(machine, uid, client).await;
        counts.renewed(renewed.is_ok());
        if let Err(error) = renewed {
            tracing::warn!(node = machine.name, %error, "cannot renew the lease");
        }
        match client.get(&format!("/api/v1/nodes/{}", machine.name)).await {
            Ok(node) if is_ready(&node) => {}
            Ok(_) => drop(report(machine, client).await),
            Err(error) if error.code() == 404 => drop(register(machine, client).await),
            Err(error) => tracing::warn!(node = machine.name, %error, "cannot read the node"),
        }
    }
}

async fn renew(machine: &Machine, uid: &str, client: &Client) -> Result<Value, Error> {
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{LEASE_NAMESPACE}/leases");
    let lease = machine.lease(uid, now_us());
    match client.merge(&format!("{leases}/{}", machine.name), &json!({"spec": lease["spec"]})).await {
        Err(error) if error.code() == 404 => client.create(&leases, &lease).await,
        other => other,
    }
}

fn is_ready(node: &Value) -> bool {
    node["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}
