//! `trireme top`: the cluster in a terminal, live, through any member that answers.

mod screen;
mod view;

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::apiclient::Client;
use crate::kubeconfig;
use crate::observe::cluster::{self, Cluster};
use screen::Screen;

/// `trireme top`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the cluster is and who asks.
    #[command(flatten)]
    access: kubeconfig::Access,
    /// Print the cluster once, without colours, and end.
    #[arg(long)]
    once: bool,
    /// Between two looks, milliseconds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(100..))]
    every_ms: u64,
}

/// Nodes as far as they are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Nodes {
    ready: usize,
    all: usize,
}

/// Runs it.
pub async fn run(args: Args) -> Result<()> {
    let client = Client::new(args.access.options()?)?;
    if args.once {
        let (cluster, nodes) = look(&client).await?;
        for line in view::lines(&cluster, nodes) {
            say!("{}", line.plain());
        }
        return Ok(());
    }
    let mut screen = Screen::open().context("no terminal to draw on; --once prints the cluster and ends")?;
    let mut tick = tokio::time::interval(Duration::from_millis(args.every_ms));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = screen.quit() => return Ok(()),
        }
        let looked = tokio::select! {
            looked = look(&client) => looked,
            () = screen.quit() => return Ok(()),
        };
        match looked {
            Ok((cluster, nodes)) => screen.draw(&view::lines(&cluster, nodes))?,
            Err(error) => screen.trouble(&format!("{error:#}"))?,
        }
    }
}

async fn look(client: &Client) -> Result<(Cluster, Nodes)> {
    let seen = client.get(cluster::PATH).await.context("asking for the cluster")?;
    let listed = client.get("/api/v1/nodes").await.context("asking for the nodes")?;
    Ok((serde_json::from_value(seen)?, count(&listed)))
}

fn count(list: &Value) -> Nodes {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    Nodes { ready: items.iter().filter(is_ready).count(), all: items.len() }
}
