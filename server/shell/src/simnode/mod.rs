//! Simulated nodes: the agent's decisions with a runtime that only pretends. Any number in one process.
//!
//! Each node speaks to the API as itself, with its own certificate, as a kubelet would.

mod behaviour;
mod counts;
mod node;
mod pods;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use behaviour::Behaviour;
pub use counts::Counts;

use crate::apiclient::{self, Client};
use crate::pki::Pair;
use crate::rotation;

/// Name and certificate of a node.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// Its name.
    pub name: String,
    /// Its certificate and key.
    pub pair: Pair,
    /// Where they lie, without the ending.
    pub stem: PathBuf,
}

/// What a process of simulated nodes needs.
pub struct Options {
    /// `host:port` of each API server.
    pub api: Vec<String>,
    /// The cluster's authority, PEM.
    pub ca_pem: String,
    /// The nodes.
    pub nodes: Vec<NodeIdentity>,
    /// How pods behave.
    pub behaviour: Behaviour,
    /// What is counted.
    pub counts: Arc<Counts>,
    /// Turns true when the process is to end.
    pub shutdown: watch::Receiver<bool>,
}

/// Runs the nodes until `shutdown` turns true.
///
/// # Errors
/// When a certificate cannot be read. That the API does not answer is no error: nodes wait for it.
pub async fn run(options: Options) -> Result<()> {
    let (mut nodes, mut renewals) = (JoinSet::new(), JoinSet::new());
    for (index, identity) in options.nodes.into_iter().enumerate() {
        let client = Client::new(apiclient::Options::new(
            options.api.clone(),
            options.ca_pem.clone(),
            identity.pair.cert_pem,
            identity.pair.key_pem,
        ))?;
        renewals.spawn(renew(client.clone(), options.ca_pem.clone(), identity.stem));
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        nodes.spawn(node::run(identity.name, number, client, options.behaviour.clone(), options.counts.clone()));
    }
    crate::notify::ready("nodes run");
    let mut shutdown = options.shutdown;
    let _ = shutdown.wait_for(|stop| *stop).await;
    nodes.shutdown().await;
    Ok(())
}

/// Takes up a node's new certificate when there is one, for ever.
async fn renew(client: Client, ca_pem: String, stem: PathBuf) {
    rotation::follow(rotation::pair(&stem).to_vec(), move || {
        let pair = Pair::read(&stem)?;
        let (client, ca_pem) = (client.clone(), ca_pem.clone());
        // The two files were read whole and fit, or the client keeps what it has.
        crate::tls::api_server(&ca_pem, &pair)?;
        tokio::spawn(async move {
            if let Err(error) = client.renew(&ca_pem, &pair).await {
                tracing::warn!(%error, "a node's new certificate cannot be used");
            }
        });
        Ok(())
    })
    .await;
}

/// The address of a node: simulated nodes share the loopback range.
fn node_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number)
}

/// The `index`-th pod address of a node: each has a /24 of 10.244.0.0/16, then of what follows.
fn pod_address(number: u32, index: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 244, 0, 0)) + (number << 8) + u32::from(index))
}
