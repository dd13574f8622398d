//! Three members under test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use api_proto::etcd::etcdserverpb as pb;
use tests_e2e::client::Credentials;

use super::client::Client;

/// Who is measured.
pub struct Subject {
    /// As the tables call it.
    pub name: &'static str,
    /// The members' addresses, the leader's first.
    pub addresses: Vec<SocketAddr>,
    /// The members' processes.
    pub pids: Vec<i32>,
    /// For TLS.
    pub credentials: Option<Credentials>,
    /// For TLS too: the folder with ca.crt, admin.crt and admin.key, for clients that read files.
    pub certificates: Option<PathBuf>,
}

/// Which members a load speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// Connections go round them all.
    All,
    Leader,
    /// The first that does not lead.
    Follower,
}

impl Subject {
    /// Waits until there is a leader, and puts it first.
    pub async fn settle(mut self) -> Result<Self> {
        let begun = Instant::now();
        loop {
            if let Ok(leader) = self.leader().await {
                self.addresses.swap(0, leader);
                return Ok(self);
            }
            if begun.elapsed() > Duration::from_secs(60) {
                bail!("{} has no leader after a minute", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn leader(&self) -> Result<usize> {
        for (index, address) in self.addresses.iter().enumerate() {
            let client = Client::connect(*address, self.credentials.as_ref()).await?;
            let status: pb::StatusResponse =
                client.call("/etcdserverpb.Maintenance/Status", &pb::StatusRequest {}).await?;
            if status.leader != 0 && status.header.is_some_and(|header| header.member_id == status.leader) {
                return Ok(index);
            }
        }
        bail!("nobody leads")
    }

    /// Opens connections.
    pub async fn connect(&self, members: Members, count: usize) -> Result<Vec<Client>> {
        let addresses = match members {
            Members::All => &self.addresses[..],
            Members::Leader => &self.addresses[..1],
            Members::Follower => &self.addresses[1..2],
        };
        let mut clients = Vec::with_capacity(count);
        for index in 0..count {
            let address = addresses[index % addresses.len()];
            let client = Client::connect(address, self.credentials.as_ref()).await;
            clients.push(client.with_context(|| self.name)?);
        }
        Ok(clients)
    }
}
