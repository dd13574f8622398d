//! `trireme agent`: worker nodes.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::pki::Pair;
use crate::{simnode, stop};

/// `trireme agent`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the configuration lies.
    #[command(flatten)]
    _config: crate::config::Args,
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
    /// Where its metrics are served.
    #[command(flatten)]
    metrics: crate::metrics_port::Args,
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
            Ok(simnode::NodeIdentity { stem: args.tls_dir.join(&name), name, pair })
        })
        .collect::<Result<Vec<_>>>()?;
    let shutdown = stop::on_signal()?;
    let counts = Arc::<simnode::Counts>::default();
    let shown = counts.clone();
    args.metrics.open(&ca_pem, move |registry| shown.register(registry), shutdown.clone()).await?;
    simnode::run(simnode::Options { api: args.api, ca_pem, nodes, behaviour: args.behaviour, counts, shutdown }).await
}
