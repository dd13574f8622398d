//! Backups by the clock: made by whoever leads, checked, pruned, told of, and good for a restore.

#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tests_e2e::cluster::{Cluster, binary};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `trireme snapshot`; what it printed.
fn snapshot(args: &[&str], variables: &[(&str, &str)]) -> Result<String> {
    let output = Command::new(binary()).arg("snapshot").args(args).envs(variables.iter().copied()).output()?;
    if !output.status.success() {
        bail!("snapshot {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the leader tells of its backups, once it is as expected.
async fn told(cluster: &Cluster, expected: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    let mut last = Value::Null;
    while begun.elapsed() < PATIENCE {
        for index in 0..cluster.masters() {
            if let Ok(standing) = cluster.standing(index).await
                && standing["leads"] == true
            {
                last = standing["backups"].clone();
                if expected(&last) {
                    return Ok(last);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the leader still tells {last}")
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A cluster of one master from a backup, with what was in it.
async fn restored(from: &str, key: &Path, variables: &[(&str, &str)]) -> Result<Value> {
    let key = key.display().to_string();
    let cluster = Cluster::from(1, 0, |dir, base_port| {
        let (dir, port) = (dir.display().to_string(), format!("--base-port={base_port}"));
        let args = ["restore", from, "--dir", &dir, "--masters=1", "--nodes=0", &port, "--secrets-key", &key];
        snapshot(&args, variables).map(drop)
    })?;
    cluster.client(0).await?.get(&format!("{CONFIG_MAPS}/kept")).await?.success()
}

async fn write(cluster: &Cluster) -> Result<Value> {
    let object = json!({"metadata": {"name": "kept"}, "data": {"a": "b"}});
    cluster.client(cluster.leader().await?).await?.post(CONFIG_MAPS, &object).await?.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_survive_failovers_and_say_when_they_fail() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("backups");
    let at = place.display().to_string();
    let variables = [("TRIREME_BACKUP_TO", at.as_str()), ("TRIREME_BACKUP_EVERY", "1s"), ("TRIREME_BACKUP_KEEP", "3")];
    let cluster = Cluster::with_variables(3, 0, &variables)?;
    let written = write(&cluster).await?;
    let first = told(&cluster, |now| now["kept"] == 3).await?;

    let leader = format!("m{}", cluster.leader().await? + 1);
    cluster.kill(&leader)?;
    let later = told(&cluster, |now| now["lastS"].as_u64() > first["lastS"].as_u64() && now["failing"] == "").await?;
    cluster.start(&leader)?;
    ensure!(later["place"] == at.as_str() && later["everyS"] == 1, "{later}");
    let names = files(&place);
    // One more while the oldest is on its way out.
    ensure!((3..=4).contains(&names.iter().filter(|name| name.ends_with(".backup")).count()), "{names:?}");

    // The place goes, and comes back.
    let away = folder.path().join("away");
    std::fs::rename(&place, &away)?;
    std::fs::write(&place, "not a folder")?;
    let failing = told(&cluster, |now| now["failing"] != "").await?;
    ensure!(failing["lastS"].as_u64() >= later["lastS"].as_u64(), "what was there is still known: {failing}");
    let index = cluster.leader().await?;
    let metrics = cluster.client(index).await?.get("/metrics").await?;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    ensure!(metrics.lines().any(|line| line == "trireme_backup_failing 1"), "no failure in the metrics");
    std::fs::remove_file(&place)?;
    std::fs::rename(&away, &place)?;
    let newest =
        told(&cluster, |now| now["failing"] == "" && now["lastS"].as_u64() > failing["lastS"].as_u64()).await?;

    let name = newest["lastName"].as_str().context("a name")?;
    let copy = folder.path().join("copy.backup");
    std::fs::copy(place.join(name), &copy).or_else(|_| {
        // It was pruned meanwhile; the newest will do.
        std::fs::copy(place.join(files(&place).pop().unwrap_or_default()), &copy)
    })?;
    let key = folder.path().join("secrets.key");
    std::fs::copy(cluster.dir().join("pki/secrets.key"), &key)?;
    let listed = snapshot(&["list", &at], &[])?;
    ensure!(listed.lines().count() >= 4 && listed.starts_with("NAME"), "{listed}");
    drop(cluster);
    let again = restored(&copy.display().to_string(), &key, &[]).await?;
    ensure!(again["metadata"]["uid"] == written["metadata"]["uid"], "{again}");
    Ok(())
}

/// An S3-compatible store over a folder: versitygw, from `TRIREME_PEERS` or the path.
struct Store {
    child: Child,
    port: u16,
    folder: PathBuf,
    program: PathBuf,
}

const KEYS: (&str, &str) = ("trireme", "trireme-secret");

impl Store {
    fn program() -> Option<PathBuf> {
        let peers = std::env::var_os("TRIREME_PEERS").map(|folder| PathBuf::from(folder).join("versitygw"));
        let found = |program: &PathBuf| Command::new(program).arg("--version").output().is_ok();
        peers.into_iter().chain([PathBuf::from("versitygw")]).find(found)
    }

    fn start(program: PathBuf, folder: PathBuf, port: u16) -> Result<Self> {
        std::fs::create_dir_all(folder.join("bucket"))?;
        let child = Command::new(&program)
            .args(["--port", &format!("127.0.0.1:{port}"), "--access", KEYS.0, "--secret", KEYS.1, "posix"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting versitygw")?;
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(begun.elapsed() < PATIENCE, "versitygw does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { child, port, folder, program })
    }

    fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn restart(&mut self) -> Result<()> {
        *self = Self::start(self.program.clone(), self.folder.clone(), self.port)?;
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_store_holds_backups_of_any_size() -> Result<()> {
    let Some(program) = Store::program() else {
        eprintln!("SKIPPED: versitygw, an S3-compatible store, is neither on the path nor in TRIREME_PEERS");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut store = Store::start(program, folder.path().join("store"), port)?;
    let endpoint = format!("http://127.0.0.1:{port}");
    let keys =
        [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", KEYS.0), ("AWS_SECRET_ACCESS_KEY", KEYS.1)];
    let schedule =
        [("TRIREME_BACKUP_TO", "s3://bucket/night/ly"), ("TRIREME_BACKUP_EVERY", "1s"), ("TRIREME_BACKUP_KEEP", "2")];
    let cluster = Cluster::with_variables(1, 0, &[&keys[..], &schedule].concat())?;
    let small = told(&cluster, |now| now["kept"] == 2).await?;
    ensure!(small["lastBytes"].as_u64() < Some(16 << 20), "{small}");

    // Larger than one part.
    let written = write(&cluster).await?;
    let filler = "0123456789abcdef".repeat(60_000);
    for number in 0..20 {
        let object = json!({"metadata": {"name": format!("filler-{number}")}, "data": {"a": filler}});
        cluster.client(0).await?.post(CONFIG_MAPS, &object).await?.success()?;
    }
    let large = told(&cluster, |now| now["lastBytes"].as_u64() > Some(17 << 20)).await?;

    store.stop();
    let failing = told(&cluster, |now| now["failing"] != "").await?;
    ensure!(failing["failing"].as_str().is_some_and(|why| why.contains("127.0.0.1")), "{failing}");
    store.restart()?;
    told(&cluster, |now| now["failing"] == "" && now["lastS"].as_u64() > large["lastS"].as_u64()).await?;
    let key = folder.path().join("secrets.key");
    std::fs::copy(cluster.dir().join("pki/secrets.key"), &key)?;
    drop(cluster);

    let listed = snapshot(&["list", "s3://bucket/night/ly"], &keys)?;
    let newest = listed.lines().last().and_then(|line| line.split_whitespace().next()).context("a backup")?;
    let url = format!("s3://bucket/night/ly/{newest}");
    let summary: Value = serde_json::from_str(&snapshot(&["inspect", &url, "-o", "json"], &keys)?)?;
    ensure!(summary["bytes"].as_u64() > Some(17 << 20), "{summary}");
    let copy = folder.path().join("copy.backup").display().to_string();
    snapshot(&["fetch", &url, &copy], &keys)?;
    snapshot(&["inspect", &copy], &[])?;
    let again = restored(&url, &key, &keys).await?;
    ensure!(again["metadata"]["uid"] == written["metadata"]["uid"], "{again}");

    let wrong = [keys[0], keys[1], ("AWS_SECRET_ACCESS_KEY", "another")];
    let refused = snapshot(&["list", "s3://bucket/night/ly"], &wrong).expect_err("wrong keys").to_string();
    ensure!(refused.contains("SignatureDoesNotMatch"), "{refused}");
    let lost =
        snapshot(&["inspect", "s3://bucket/night/ly/none.backup"], &keys).expect_err("no such backup").to_string();
    ensure!(lost.contains("NoSuchKey"), "{lost}");
    Ok(())
}
