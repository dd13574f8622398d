//! Masters of a local cluster that come and go.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api_client::{Client, Options, Tls, v1};

use super::layout::{Joined, Layout, index_of, name_of};
use super::process::{Process, State};
use super::up::wait_until_serving;
use crate::keyring::Keyring;
use crate::pki::Pair;

/// How long an order to the cluster may take.
const ORDER_LIMIT: Duration = Duration::from_secs(30);
/// How long a master that was removed may take to end by itself.
const END_LIMIT: Duration = Duration::from_secs(15);

/// A client of all masters that run, as administrator.
fn client(layout: &Layout) -> Result<Client> {
    let running = running(layout);
    if running.is_empty() {
        bail!("no master runs: ./x up starts them");
    }
    let admin = Pair::read(&layout.dir.join("admin"))?;
    let ca_pem = std::fs::read_to_string(layout.ca()).context("reading the CA certificate")?;
    Ok(Client::new(&Options {
        masters: running.into_iter().map(|i| layout.api(i).to_string()).collect(),
        tls: Some(Tls { ca_pem, cert_pem: admin.cert_pem, key_pem: admin.key_pem }),
        deadline: ORDER_LIMIT,
    })?)
}

fn running(layout: &Layout) -> Vec<usize> {
    let masters = layout.shape.masters_now().into_iter();
    masters.filter(|i| matches!(layout.master(*i).state(), State::Running(_))).collect()
}

/// Adds a master and waits until it serves.
pub async fn add(layout: &mut Layout, replica: bool) -> Result<()> {
    let index = layout.shape.next_master();
    join(layout, index, replica).await
}

/// Lets a master join, with an empty folder, through those that run.
async fn join(layout: &mut Layout, index: usize, replica: bool) -> Result<()> {
    let name = name_of(index);
    let client = client(layout)?;
    let request = v1::CreateTokenRequest { ttl_s: 0, replica, name: name.clone() };
    let token = client.create_token(request).await.context("making a token")?;
    let through = running(layout).into_iter().filter(|i| *i != index).map(|i| layout.api(i)).collect();
    layout.shape.joined.insert(index, Joined { replica, through });
    layout.shape.removed.remove(&index);
    layout.save()?;
    let process = layout.master(index);
    forget(&process)?;
    process.start_with(&[("TRIREME_TOKEN", token.token)]).await?;
    wait_until_serving(layout, &process).await?;
    let note = settled(&client, &name).await?;
    if note.is_empty() {
        say!("{name} serves")
    } else {
        say!("{name} serves; {note}")
    }
    Ok(())
}

/// Waits until whoever had this name before is no member any more: as long as a dead one has a vote, another that stops may
/// cost the quorum. What the member itself waits for, empty when for nothing.
async fn settled(client: &Client, name: &str) -> Result<String> {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let alone = tokio::time::timeout(ORDER_LIMIT, async {
        loop {
            tick.tick().await;
            let status = client.cluster_status().await.context("asking for the cluster's status")?;
            let mut named = status.members.into_iter().filter(|m| m.name == name);
            if let (Some(member), None) = (named.next(), named.next()) {
                return Ok(member.note);
            }
        }
    });
    match alone.await {
        Ok(note) => note,
        Err(_) => Ok(format!("the {name} before it is still a member: trireme cluster status says why")),
    }
}

/// Removes what a master remembers; its log stays for people to read.
fn forget(process: &Process) -> Result<()> {
    for part in ["data", "tls"] {
        let path = process.folder.join(part);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

fn index(layout: &Layout, name: &str) -> Result<usize> {
    let index = index_of(name).filter(|index| layout.shape.masters_now().contains(index));
    index.with_context(|| format!("no master is called {name}: there are {}", layout.shape.master_names().join(", ")))
}

/// Removes a master from the cluster, and its memory.
pub async fn remove(layout: &mut Layout, name: &str) -> Result<()> {
    let index = index(layout, name)?;
    client(layout)?.remove(name).await.with_context(|| format!("removing {name}"))?;
    let process = layout.master(index);
    // It drains, says goodbye and ends; one that does not is ended.
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let ended = tokio::time::timeout(END_LIMIT, async {
        while matches!(process.state(), State::Running(_)) {
            tick.tick().await;
        }
    });
    if ended.await.is_err() {
        process.stop(END_LIMIT).await?;
    }
    forget(&process)?;
    layout.shape.removed.insert(index);
    layout.save()?;
    say!("{name} is removed");
    Ok(())
}

/// Replaces a dead master by one with an empty folder under the same name.
pub async fn replace(layout: &mut Layout, name: &str) -> Result<()> {
    let index = index(layout, name)?;
    let replica = layout.shape.joined.get(&index).is_some_and(|joined| joined.replica);
    let process = layout.master(index);
    if let State::Running(pid) = process.state() {
        bail!("{name} runs as process {pid}: ./x stop {name} first, or ./x remove {name}");
    }
    join(layout, index, replica).await
}

/// Makes a new cluster of one survivor and starts it; the other masters are forgotten.
pub async fn recover(layout: &mut Layout, name: &str) -> Result<()> {
    let survivor = index(layout, name)?;
    if let Some(other) = running(layout).first() {
        bail!("{} runs: ./x stop it first, if the cluster is lost for good", name_of(*other));
    }
    let process = layout.master(survivor);
    // One that was killed a moment ago holds its data folder until the kernel has taken all of it away.
    if !process.let_go(END_LIMIT).await {
        bail!("{name} was killed and does not end");
    }
    let folder = process.folder.clone();
    let keyring = Arc::new(Keyring::open(&folder.join("tls/secrets.key"))?);
    let cluster_id = uuid::Uuid::new_v4().to_string();
    let recovered = raft_node::recover(&folder.join("data"), keyring, &cluster_id).await;
    let held = recovered.with_context(|| format!("making a new cluster of {name}"))?;
    say!(
        "{name} held {} log entries, the last of term {}; what others acknowledged after that is lost",
        held.last_index,
        held.last_term
    );
    for other in layout.shape.masters_now().into_iter().filter(|i| *i != survivor) {
        forget(&layout.master(other))?;
        layout.shape.removed.insert(other);
    }
    layout.save()?;
    process.start().await?;
    wait_until_serving(layout, &process).await?;
    say!("{name} serves as cluster {cluster_id}; ./x up --masters 3 makes it grow again");
    Ok(())
}
