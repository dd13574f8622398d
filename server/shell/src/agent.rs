//! `trireme agent`: worker nodes.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::pki::Pair;
use crate::{simnode, stop};

/// `trireme agent`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run pods through their phases without containers.
    #[arg(long)]
    simulated: bool,
    /// Address of an API server; once for each master.
    #[arg(long = "api", required = true)]
    api: Vec<String>,
    /// The cluster's CA certificate.
    #[arg(long)]
    ca: PathBuf,
    /// Holds <node>.crt and <node>.key of each node.
    #[arg(long)]
    tls_dir: PathBuf,
    /// Name of a node; once for each that this process runs.
    #[arg(long = "node", required = true)]
    nodes: Vec<String>,
    /// How simulated pods behave.
    #[command(flatten)]
    behaviour: simnode::Behaviour,
}

/// Runs nodes as a process.
pub async fn run(args: Args) -> Result<()> {
    if !args.simulated {
        bail!("only simulated nodes can be run by this build: add --simulated");
    }
    let ca_pem = std::fs::read_to_string(&args.ca).with_context(|| format!("reading {}", args.ca.display()))?;
    let nodes = args
        .nodes
        .into_iter()
        .map(|name| {
            let pair = Pair::read(&args.tls_dir.join(&name))?;
            Ok(simnode::NodeIdentity { name, cert_pem: pair.cert_pem, key_pem: pair.key_pem })
        })
        .collect::<Result<Vec<_>>>()?;
    let shutdown = stop::on_signal()?;
    simnode::run(simnode::Options { api: args.api, ca_pem, nodes, behaviour: args.behaviour, shutdown }).await
}
