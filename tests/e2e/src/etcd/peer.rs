//! Three members of a real etcd on loopback, gone when dropped.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ports::Ports;

const MEMBERS: u16 = 3;
/// How long it may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running etcd cluster, its members named m1, m2, m3.
pub struct Etcd {
    dir: tempfile::TempDir,
    ports: Ports,
    children: Vec<Child>,
}

impl Etcd {
    /// Starts it in plain text, or with the certificates that a Trireme cluster's folder holds, on both ports.
    ///
    /// # Errors
    /// When it does not run.
    pub fn start(binary: &Path, certificates: Option<&Path>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("trireme-etcd-").tempdir()?;
        let ports = Ports::claim();
        let mut etcd = Self { dir, ports, children: Vec::new() };
        let scheme = if certificates.is_some() { "https" } else { "http" };
        let peers: Vec<String> =
            (0..MEMBERS).map(|i| format!("m{}={scheme}://{}", i + 1, etcd.address(i, 30))).collect();
        for index in 0..MEMBERS {
            let (client, peer) = (etcd.address(index, 20), etcd.address(index, 30));
            let name = format!("m{}", index + 1);
            let log = std::fs::File::create(etcd.dir.path().join(format!("{name}.log")))?;
            let mut command = Command::new(binary);
            command
                .arg(format!("--name={name}"))
                .arg(format!("--data-dir={}", etcd.dir.path().join(&name).display()))
                .arg(format!("--listen-client-urls={scheme}://{client}"))
                .arg(format!("--advertise-client-urls={scheme}://{client}"))
                .arg(format!("--listen-peer-urls={scheme}://{peer}"))
                .arg(format!("--initial-advertise-peer-urls={scheme}://{peer}"))
                .arg(format!("--initial-cluster={}", peers.join(",")))
                .arg("--log-level=error");
            if let Some(folder) = certificates {
                // One certificate serves clients and peers; a peer's is a client's too.
                for (flag, file) in [
                    ("cert-file", format!("{name}/tls/apiserver.crt")),
                    ("key-file", format!("{name}/tls/apiserver.key")),
                    ("trusted-ca-file", "ca.crt".to_owned()),
                    ("peer-cert-file", format!("{name}/tls/peer.crt")),
                    ("peer-key-file", format!("{name}/tls/peer.key")),
                    ("peer-trusted-ca-file", "ca.crt".to_owned()),
                ] {
                    command.arg(format!("--{flag}={}", folder.join(file).display()));
                }
                command.args(["--client-cert-auth", "--peer-client-cert-auth"]);
            }
            let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
            etcd.children.push(child.with_context(|| format!("starting {}", binary.display()))?);
        }
        Ok(etcd)
    }

    fn address(&self, index: u16, purpose: u16) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.base() + purpose + index).into()
    }

    /// Waits until a plain-text cluster has a leader.
    ///
    /// # Errors
    /// When it has none after a minute.
    pub async fn wait_until_healthy(&self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let mut healthy = 0;
            for index in 0..MEMBERS {
                healthy += u16::from(is_healthy(self.address(index, 20)).await.unwrap_or(false));
            }
            if healthy == MEMBERS {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.dir.path().join("m1.log")).unwrap_or_default();
        bail!("etcd is not healthy after a minute: {}", log.lines().last().unwrap_or_default())
    }

    /// The clients' addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        (0..MEMBERS).map(|index| self.address(index, 20)).collect()
    }

    /// The members' processes.
    pub fn pids(&self) -> Vec<i32> {
        self.children.iter().filter_map(|child| i32::try_from(child.id()).ok()).collect()
    }
}

async fn is_healthy(address: SocketAddr) -> Result<bool> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: etcd\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.contains("\"health\":\"true\""))
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
