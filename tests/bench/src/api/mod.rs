//! `./x bench api`: the API of three masters against kube-apiserver on three etcd, with the same client on the same
//! machine, one after the other.

mod bound;
mod load;
mod subject;
mod table;
mod watching;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use tests_e2e::Cluster;

use crate::peers::{self, Peer};
use subject::Subject;

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
    /// Watchers of one namespace's ConfigMaps (0: leave this part out).
    #[arg(long, default_value_t = 200)]
    watchers: usize,
    /// ConfigMaps written while they watch.
    #[arg(long, default_value_t = 500)]
    watched: usize,
    /// Pods of the Deployments that are timed until bound (as 10 Deployments; 0: leave this part out).
    #[arg(long, default_value_t = 3000)]
    deployed: usize,
    /// Nodes with simulated agents for the same Deployments once more (0: leave this part out).
    #[arg(long, default_value_t = 30)]
    agents: usize,
    /// Leave the peer out.
    #[arg(long)]
    alone: bool,
    /// Leave Trireme out, and measure the peer alone.
    #[arg(long)]
    peer_alone: bool,
}

/// Runs the benchmark and prints its table.
///
/// # Errors
/// When a server does not start or answers with an error.
pub async fn run(args: Args) -> Result<()> {
    let ours = if args.peer_alone { Value::Null } else { trireme(&args).await? };
    let theirs = match peers::binaries() {
        _ if args.alone => Value::Null,
        Some(bin) => kubernetes(&args, &bin).await?,
        None => {
            println!(
                "kube-apiserver and etcd are not at hand (TRIREME_PEERS names no folder with them): no comparison"
            );
            Value::Null
        }
    };
    table::print(&ours, &theirs);
    println!("{}", json!({"benchmark": "api", "trireme": ours, "kubernetes": theirs}));
    Ok(())
}

async fn trireme(args: &Args) -> Result<Value> {
    let mut measured = {
        let begun = Instant::now();
        let cluster = Cluster::up(3, 0)?;
        let ready_s = begun.elapsed().as_secs_f64();
        let mut clients = Vec::new();
        for index in 0..args.connections {
            clients.push(cluster.client(index % 3).await?);
        }
        let servers = ["m1", "m2", "m3"];
        let servers = servers.iter().map(|name| Ok(((*name).to_owned(), cluster.pid(name)?))).collect::<Result<_>>()?;
        Subject { name: "trireme", clients, servers, ready_s, args }.measure().await?
    };
    if args.agents > 0 && args.deployed > 0 {
        let cluster = Cluster::up(3, args.agents)?;
        let client = cluster.client(0).await?;
        measured["with_agents"] = bound::on_agents(&client, args.deployed).await?;
    }
    Ok(measured)
}

async fn kubernetes(args: &Args, bin: &Path) -> Result<Value> {
    let begun = Instant::now();
    let mut peer = Peer::start(bin).await?;
    let ready_s = begun.elapsed().as_secs_f64();
    peer.start_managers(bin)?;
    let mut clients = Vec::new();
    for _ in 0..args.connections {
        clients.push(peer.client().await?);
    }
    Subject { name: "kubernetes", clients, servers: peer.servers(), ready_s, args }.measure().await
}

/// The spec of the benchmark's pods.
fn pod_spec(scheduler: &str) -> Value {
    json!({
        "schedulerName": scheduler,
        "containers": [{
            "name": "main", "image": "registry.example/app:1.2.3", "ports": [{"containerPort": 8080, "name": "http"}],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5},
        }],
    })
}
