//! `trireme cluster recover`: a new cluster of one survivor.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use raft_node::Survivor;
use serde_json::json;

use super::output::Output;
use crate::keyring::Keyring;

/// Another master that takes a connection within this is alive.
const PROBE_LIMIT: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct Recover {
    /// The survivor's data folder. The survivor must be stopped.
    #[arg(long)]
    data_dir: PathBuf,
    /// The survivor's TLS folder, which holds secrets.key.
    #[arg(long)]
    tls_dir: PathBuf,
    /// Do it. Without this, only say what the survivor holds and what may be lost.
    #[arg(long)]
    yes: bool,
    /// Although a quorum of the old cluster answers.
    #[arg(long)]
    force: bool,
}

impl Recover {
    pub async fn run(self, output: Output) -> Result<()> {
        let keyring = Keyring::open(&self.tls_dir.join("secrets.key"));
        let keyring = keyring.context("--tls-dir is to name the folder that the survivor was started with");
        let keyring = Arc::new(keyring?);
        let surveyed = raft_node::survey(&self.data_dir, keyring.clone()).await;
        let survivor = surveyed.with_context(|| format!("looking at {}", self.data_dir.display()))?;
        let alive = alive(&survivor).await;
        let voters = survivor.others.iter().filter(|m| m.voter).count() + usize::from(survivor.member.voter);
        if alive.len() * 2 > voters && !self.force {
            bail!(
                "{} answer: that is a quorum, and the cluster is not lost. Start this master again; it joins them by itself",
                alive.join(", ")
            );
        }
        if !self.yes {
            explain(&survivor, output);
            bail!("nothing was changed: add --yes to make a new cluster of {}", survivor.member.name);
        }
        let cluster_id = uuid::Uuid::new_v4().to_string();
        raft_node::recover(&self.data_dir, keyring, &cluster_id).await.context("making a new cluster")?;
        let name = &survivor.member.name;
        if output.value(&json!({"clusterID": cluster_id, "survivor": value(&survivor)})) {
            return Ok(());
        }
        explain(&survivor, output);
        say!("\n{name} is a cluster of its own now, {cluster_id}. Start it as before.");
        say!(
            "The other masters of {} are refused by it for ever: stop them, empty their folders, and take them in",
            survivor.cluster_id
        );
        say!("again with `trireme cluster add`. Do not let clients near them: they may still serve each other.");
        Ok(())
    }
}

/// What of the other voters takes connections.
async fn alive(survivor: &Survivor) -> Vec<String> {
    let mut alive = Vec::new();
    for other in survivor.others.iter().filter(|m| m.voter) {
        let Some(address) = other.peer_address.to_socket_addrs().ok().and_then(|mut all| all.next()) else { continue };
        let connected = tokio::time::timeout(PROBE_LIMIT, tokio::net::TcpStream::connect(address)).await;
        if matches!(connected, Ok(Ok(_))) {
            alive.push(other.name.clone());
        }
    }
    alive
}

fn explain(survivor: &Survivor, output: Output) {
    if output.value(&value(survivor)) {
        return;
    }
    let Survivor { member, last_term, last_index, committed_index, revision, .. } = survivor;
    say!(
        "{} (member {}) holds {last_index} log entries, the last of term {last_term}; revision {revision}.",
        member.name,
        member.id
    );
    say!(
        "What may be lost: every write that the others acknowledged after that entry without {}. Nobody can count them.",
        member.name
    );
    say!("Of its own entries, those after {committed_index} may never have been acknowledged; they are kept.");
    say!("Another survivor with a higher term, or as high a term and more entries, has lost less: look there first.");
    say!("Clients list again: the revision leaps by {}, and watches before it end.", raft_node::LEAP);
}

fn value(survivor: &Survivor) -> serde_json::Value {
    json!({
        "clusterID": survivor.cluster_id,
        "name": survivor.member.name,
        "id": survivor.member.id,
        "lastTerm": survivor.last_term,
        "lastIndex": survivor.last_index,
        "committedIndex": survivor.committed_index,
        "revision": survivor.revision,
        "others": survivor.others.iter().map(|m| json!({"id": m.id, "name": m.name, "voter": m.voter})).collect::<Vec<_>>(),
    })
}
