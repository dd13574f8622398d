//! kube-apiserver on three etcd, started as docs/PEERS in the project's notes say: stock binaries, loopback, RBAC on.
//!
//! The binaries are found in the folder that `TRIREME_PEERS` names: etcd, kube-apiserver, kube-controller-manager,
//! kube-scheduler. Where they are not at hand the comparison is skipped, and the output says so.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tests_e2e::Client;
use tests_e2e::client::Credentials;

const TOKEN: &str = "bench-administrator";
/// First of the ports used: API, then client and peer port of each etcd.
const PORT: u16 = 19_440;

/// A running peer control plane; killed when dropped.
pub struct Peer {
    dir: tempfile::TempDir,
    children: Vec<(String, Child)>,
}

/// Where the peers' binaries are, if they are anywhere.
pub fn binaries() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("TRIREME_PEERS")?);
    ["etcd", "kube-apiserver"].iter().all(|name| dir.join(name).exists()).then_some(dir)
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

impl Peer {
    /// Starts three etcd and a kube-apiserver.
    ///
    /// # Errors
    /// When it does not get ready within a minute.
    pub async fn start(bin: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("trireme-peer-").tempdir()?;
        let mut peer = Self { dir, children: Vec::new() };
        let cluster: Vec<String> = (0..3).map(|i| format!("e{i}=http://{}", loopback(PORT + 2 + 2 * i))).collect();
        for i in 0..3 {
            let (client, raft) = (loopback(PORT + 1 + 2 * i), loopback(PORT + 2 + 2 * i));
            let data = peer.dir.path().join(format!("e{i}"));
            peer.spawn(
                &format!("etcd{i}"),
                Command::new(bin.join("etcd"))
                    .arg(format!("--name=e{i}"))
                    .arg(format!("--data-dir={}", data.display()))
                    .arg(format!("--listen-client-urls=http://{client}"))
                    .arg(format!("--advertise-client-urls=http://{client}"))
                    .arg(format!("--listen-peer-urls=http://{raft}"))
                    .arg(format!("--initial-advertise-peer-urls=http://{raft}"))
                    .arg(format!("--initial-cluster={}", cluster.join(",")))
                    .arg("--log-level=error"),
            )?;
        }
        peer.start_apiserver(bin)?;
        peer.wait_ready().await?;
        Ok(peer)
    }

    fn spawn(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let log = std::fs::File::create(self.dir.path().join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        self.children.push((name.to_owned(), child));
        Ok(())
    }

    fn start_apiserver(&mut self, bin: &Path) -> Result<()> {
        let dir = self.dir.path().to_owned();
        let key = dir.join("sa.key");
        let made =
            Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output().context("openssl")?;
        anyhow::ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(dir.join("tokens"), format!("{TOKEN},admin,admin,system:masters\n"))?;
        let etcds: Vec<String> = (0..3).map(|i| format!("http://{}", loopback(PORT + 1 + 2 * i))).collect();
        self.spawn(
            "kube-apiserver",
            Command::new(bin.join("kube-apiserver"))
                .arg(format!("--etcd-servers={}", etcds.join(",")))
                .arg("--bind-address=127.0.0.1")
                .arg(format!("--secure-port={PORT}"))
                .arg("--endpoint-reconciler-type=none")
                .arg("--service-cluster-ip-range=10.96.0.0/16")
                .arg("--service-account-issuer=https://kubernetes.default.svc")
                .arg(format!("--service-account-key-file={}", key.display()))
                .arg(format!("--service-account-signing-key-file={}", key.display()))
                .arg("--authorization-mode=RBAC")
                .arg(format!("--token-auth-file={}", dir.join("tokens").display()))
                .arg(format!("--cert-dir={}", dir.join("certs").display()))
                .arg("--max-requests-inflight=4000")
                .arg("--max-mutating-requests-inflight=2000"),
        )
    }

    /// Starts a controller manager and a scheduler.
    ///
    /// # Errors
    /// When a binary is missing.
    pub fn start_managers(&mut self, bin: &Path) -> Result<()> {
        let config = self.dir.path().join("kubeconfig");
        std::fs::write(
            &config,
            serde_json::json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": format!("https://{}", loopback(PORT)), "insecure-skip-tls-verify": true}}],
                "users": [{"name": "c", "user": {"token": TOKEN}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
            })
            .to_string(),
        )?;
        for name in ["kube-controller-manager", "kube-scheduler"] {
            self.spawn(
                name,
                Command::new(bin.join(name)).arg(format!("--kubeconfig={}", config.display())).args([
                    "--kube-api-qps=10000",
                    "--kube-api-burst=10000",
                    "--leader-elect=false",
                    "--secure-port=0",
                ]),
            )?;
        }
        Ok(())
    }

    async fn wait_ready(&self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if let Ok(client) = self.client().await
                && client.get("/readyz").await.is_ok_and(|r| r.status.is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(self.dir.path().join("kube-apiserver.log")).unwrap_or_default();
        bail!("kube-apiserver is not ready after a minute: {}", log.lines().last().unwrap_or_default())
    }

    /// A connection as administrator.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn client(&self) -> Result<Client> {
        let credentials = Credentials::trusting_anyone();
        Ok(Client::connect(loopback(PORT), &credentials).await?.with_bearer(TOKEN))
    }

    /// The servers' processes: kube-apiserver and the three etcd.
    pub fn servers(&self) -> Vec<(String, i32)> {
        let servers = self.children.iter().filter(|(name, _)| name.starts_with("etcd") || name == "kube-apiserver");
        servers.filter_map(|(name, child)| Some((name.clone(), i32::try_from(child.id()).ok()?))).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for (_, child) in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
