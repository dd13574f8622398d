//! etcd's snapshots become Trireme clusters, and Trireme's become etcds. Needs etcd, etcdctl and etcdutl in the folder that
//! `TRIREME_PEERS` names.

#![allow(missing_docs)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use api_client::{Client, Freshness, Options, Tls};
use serde_json::{Value, json};
use tests_e2e::cluster::{Cluster, binary};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

fn peers() -> Option<PathBuf> {
    let folder = std::env::var_os("TRIREME_PEERS").map(PathBuf::from);
    let folder = folder.filter(|folder| ["etcd", "etcdctl", "etcdutl"].iter().all(|name| folder.join(name).exists()));
    if folder.is_none() {
        eprintln!("SKIPPED: TRIREME_PEERS names no folder with etcd, etcdctl and etcdutl");
    }
    folder
}

/// An etcd of one member.
struct Etcd {
    process: Child,
    peers: PathBuf,
    address: String,
}

impl Etcd {
    fn start(peers: &Path, data: &Path) -> Result<Self> {
        let free = || Ok::<_, std::io::Error>(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string());
        let (client, peer) = (format!("http://{}", free()?), format!("http://{}", free()?));
        let process = Command::new(peers.join("etcd"))
            .arg("--data-dir")
            .arg(data)
            .args(["--name=e1", "--logger=zap", "--log-level=error", "--initial-cluster-state=new"])
            .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(format!("--initial-cluster=e1={peer}"))
            .stdout(Stdio::null())
            .spawn()?;
        let etcd = Self { process, peers: peers.to_owned(), address: client };
        let begun = Instant::now();
        while etcd.ctl(&["endpoint", "health"]).is_err() {
            if begun.elapsed() > Duration::from_secs(30) {
                bail!("etcd does not serve");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(etcd)
    }

    fn ctl(&self, args: &[&str]) -> Result<String> {
        run(Command::new(self.peers.join("etcdctl")).arg("--endpoints").arg(&self.address).args(args))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn trireme(args: &[&str]) -> Result<String> {
    run(Command::new(binary()).arg("snapshot").args(args))
}

fn client(cluster: &Cluster) -> Result<Client> {
    let read = |name: &str| std::fs::read_to_string(cluster.dir().join(name));
    let tls = Tls { ca_pem: read("ca.crt")?, cert_pem: read("admin.crt")?, key_pem: read("admin.key")? };
    let masters = vec![cluster.api(0).to_string()];
    Ok(Client::new(&Options { masters, tls: Some(tls), deadline: Duration::from_secs(20) })?)
}

fn restored(file: &str, keys: &[&str]) -> Result<Cluster> {
    Cluster::from(1, 0, |dir, base_port| {
        let (dir, port) = (dir.display().to_string(), format!("--base-port={base_port}"));
        let fixed = ["restore", file, "--dir", &dir, "--masters=1", "--nodes=0", &port];
        trireme(&[&fixed[..], keys].concat()).map(drop)
    })
}

#[tokio::test]
async fn snapshots_travel_from_etcd_to_trireme_and_back() -> Result<()> {
    let Some(peers) = peers() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let revision = {
        let etcd = Etcd::start(&peers, &folder.path().join("etcd-1"))?;
        fill(&etcd)?;
        etcd.ctl(&["snapshot", "save", &at("from-etcd")])?;
        let status: Value = serde_json::from_str(&etcd.ctl(&["get", "none", "-w", "json"])?)?;
        status["header"]["revision"].as_u64().context("a revision")?
    };
    let summary: Value = serde_json::from_str(&trireme(&["inspect", &at("from-etcd"), "-o", "json"])?)?;
    assert_eq!(
        (&summary["format"], &summary["revision"], &summary["leases"]),
        (&json!("etcd"), &json!(revision), &json!(1))
    );
    let cluster = restored(&at("from-etcd"), &[])?;
    let all = client(&cluster)?;
    let (entries, now) = all.list("/many/", Freshness::Linearizable).collect().await?;
    assert_eq!(entries.len(), 299);
    assert!(now > revision + 999_999_999);
    let twice = all.get("/twice", Freshness::Linearizable).await?.0.context("it was written")?;
    assert_eq!((twice.value.as_ref(), twice.version), (&b"second"[..], 2));
    let leased = all.get("/leased", Freshness::Linearizable).await?.0.context("its lease is long")?;
    assert_ne!(leased.lease, 0);
    cluster.client(0).await?.post(SECRETS, &json!({"metadata": {"name": "s"}})).await?.success()?;

    // And back.
    let dir = cluster.dir().display().to_string();
    trireme(&["save", &at("from-trireme"), "--dir", &dir, "--format", "etcd"])?;
    drop(cluster);
    let status =
        run(Command::new(peers.join("etcdutl")).args(["snapshot", "status", &at("from-trireme"), "-w", "json"]))?;
    let status: Value = serde_json::from_str(&status)?;
    let summary: Value = serde_json::from_str(&trireme(&["inspect", &at("from-trireme"), "-o", "json"])?)?;
    assert_eq!(status["totalKey"], summary["keys"], "{status}");
    run(Command::new(peers.join("etcdutl")).args([
        "snapshot",
        "restore",
        &at("from-trireme"),
        "--data-dir",
        &at("etcd-2"),
    ]))?;
    let etcd = Etcd::start(&peers, &folder.path().join("etcd-2"))?;
    assert_eq!(
        etcd.ctl(&["get", "/many/", "--prefix", "--keys-only", "--limit=1000"])?.split_whitespace().count(),
        299
    );
    assert_eq!(etcd.ctl(&["get", "/twice", "--print-value-only"])?.trim(), "second");
    assert!(etcd.ctl(&["lease", "list"])?.contains("found 1 leases"));
    let past = etcd.ctl(&["get", "/twice", "--rev=5"]).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(past.contains("compacted"), "{past}");
    etcd.ctl(&["put", "/twice", "third"])?;
    drop(etcd);

    // Objects come back as objects, and Secrets encrypted.
    let again = restored(&at("from-trireme"), &[])?;
    let secret = again.client(0).await?.get(&format!("{SECRETS}/s")).await?.success()?;
    let version: u64 = secret["metadata"]["resourceVersion"].as_str().context("a version")?.parse()?;
    assert!(version > 2_000_000_000, "{version}");
    let dir = again.dir().display().to_string();
    trireme(&["save", &at("again"), "--dir", &dir])?;
    let summary: Value = serde_json::from_str(&trireme(&["inspect", &at("again"), "-o", "json"])?)?;
    assert_eq!(summary["sealed"], 1);
    Ok(())
}

/// `etcdctl snapshot save` from a store of three, read by etcd's tools and by Trireme's.
#[tokio::test]
async fn etcdctl_saves_a_snapshot_of_trireme() -> Result<()> {
    let Some(peers) = peers() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let store = Cluster::store(3, "http")?;
    let ctl = |member: usize, args: &[&str]| {
        let endpoint = format!("http://{}", store.etcd(member));
        run(Command::new(peers.join("etcdctl")).args(["--endpoints", &endpoint]).args(args))
    };
    for number in 0..200 {
        ctl(number % 3, &["put", &format!("/many/{number:03}"), &"v".repeat(number * 40)])?;
    }
    ctl(0, &["del", "/many/007"])?;
    // Each member has all of it, whoever leads.
    for member in 0..3 {
        ctl(member, &["get", "/many/000"])?;
        let name = at(&format!("saved-{member}"));
        assert!(ctl(member, &["snapshot", "save", &name])?.contains("Snapshot saved at"));
        let status = run(Command::new(peers.join("etcdutl")).args(["snapshot", "status", &name, "-w", "json"]))?;
        let status: Value = serde_json::from_str(&status)?;
        assert_eq!((&status["totalKey"], &status["revision"]), (&json!(199), &json!(201)), "{status}");
    }
    drop(store);
    let data = at("etcd");
    run(Command::new(peers.join("etcdutl")).args(["snapshot", "restore", &at("saved-1"), "--data-dir", &data]))?;
    let etcd = Etcd::start(&peers, Path::new(&data))?;
    assert_eq!(etcd.ctl(&["get", "/many/003", "--print-value-only"])?.trim(), "v".repeat(120));
    assert_eq!(etcd.ctl(&["get", "/many/", "--prefix", "--keys-only"])?.split_whitespace().count(), 199);
    drop(etcd);
    let cluster = restored(&at("saved-2"), &[])?;
    let (entries, _) = client(&cluster)?.list("/many/", Freshness::Linearizable).collect().await?;
    assert_eq!(entries.len(), 199);
    Ok(())
}

fn fill(etcd: &Etcd) -> Result<()> {
    for number in 0..300 {
        etcd.ctl(&["put", &format!("/many/{number:03}"), &"v".repeat(number * 20)])?;
    }
    etcd.ctl(&["del", "/many/007"])?;
    etcd.ctl(&["put", "/twice", "first"])?;
    etcd.ctl(&["put", "/twice", "second"])?;
    let granted = etcd.ctl(&["lease", "grant", "100000"])?;
    let lease = granted.split_whitespace().nth(1).context("a lease")?;
    etcd.ctl(&["put", "/leased", "v", &format!("--lease={lease}")])?;
    etcd.ctl(&["del", "/none", "--prefix"])?;
    Ok(())
}
