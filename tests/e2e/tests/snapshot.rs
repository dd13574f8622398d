//! `trireme snapshot`: backups under load, and clusters of other sizes from them.

#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api_client::{Client, Error, Freshness, Options, Tls};
use serde_json::{Value, json};
use tests_e2e::cluster::{Cluster, binary};

const SECRET: &str = "/api/v1/namespaces/default/secrets";

fn client(cluster: &Cluster) -> Result<Client> {
    let read = |name: &str| std::fs::read_to_string(cluster.dir().join(name));
    let tls = Tls { ca_pem: read("ca.crt")?, cert_pem: read("admin.crt")?, key_pem: read("admin.key")? };
    let masters = (0..cluster.masters()).map(|index| cluster.api(index).to_string()).collect();
    Ok(Client::new(&Options { masters, tls: Some(tls), deadline: Duration::from_secs(20) })?)
}

/// Runs `trireme snapshot`; what it printed, or what it complained of.
fn snapshot(args: &[&str]) -> Result<String> {
    let output = Command::new(binary()).arg("snapshot").args(args).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
fn refused(args: &[&str], expected: &str) {
    let said = snapshot(args).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains(expected), "snapshot {args:?}: {said:?}, not {expected:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_under_load_becomes_clusters_of_other_sizes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let old = Cluster::up(3, 0)?;
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "correct-horse"}});
    let created = old.client(1).await?.post(SECRET, &secret).await?.success()?;
    let (before, during) = write_while(&old, || {
        let dir = old.dir().display().to_string();
        std::fs::write(at("passphrase"), "open sesame\n")?;
        snapshot(&["save", &at("plain"), "--dir", &dir])?;
        snapshot(&["save", &at("wrapped"), "--dir", &dir, "--passphrase-file", &at("passphrase")])
    })
    .await?;
    refused(&["save", &at("plain"), "--dir", &old.dir().display().to_string()], "exists");
    std::fs::copy(old.dir().join("pki/secrets.key"), at("secrets.key"))?;
    let summary: Value = serde_json::from_str(&snapshot(&["inspect", &at("plain"), "-o", "json"])?)?;
    assert_eq!(
        (&summary["format"], &summary["sealed"], &summary["keysWrapped"]),
        (&json!("trireme"), &json!(1), &json!(false))
    );
    let file = std::fs::read(at("wrapped"))?;
    assert!(!file.windows(13).any(|w| w == b"correct-horse"), "a secret in the clear");
    drop(old);

    damaged_files_are_refused(folder.path(), &file)?;
    refused(&["restore", &at("plain"), "--dir", &at("none")], "1 values are encrypted under keys [1]");
    assert!(!folder.path().join("none").exists());
    std::fs::write(at("wrong"), "open barley\n")?;
    refused(
        &["restore", &at("wrapped"), "--dir", &at("none"), "--passphrase-file", &at("wrong")],
        "the passphrase is not",
    );
    let sizes =
        [(1, "plain", ["--secrets-key", &at("secrets.key")]), (5, "wrapped", ["--passphrase-file", &at("passphrase")])];
    for (masters, file, keys) in sizes {
        let restored = Cluster::from(masters, 0, |dir, base_port| {
            let (masters, port) = (format!("--masters={masters}"), format!("--base-port={base_port}"));
            let dir = dir.display().to_string();
            snapshot(&["restore", &at(file), "--dir", &dir, &masters, "--nodes=0", &port, keys[0], keys[1]])?;
            refused(&["restore", &at(file), "--dir", &dir, keys[0], keys[1]], "never overwrites");
            Ok(())
        })?;
        check(&restored, &created, &before, &during).await.with_context(|| format!("{masters} masters"))?;
    }
    Ok(())
}

/// Writes before and during some work; the keys that were there before it, and the highest revision handed out.
async fn write_while(cluster: &Cluster, work: impl FnOnce() -> Result<String>) -> Result<(Vec<String>, u64)> {
    let all = client(cluster)?;
    let mut before = Vec::new();
    for number in 0..200 {
        let key = format!("/app/{number:03}");
        all.put(key.clone(), vec![b'x'; 4000]).await?;
        before.push(key);
    }
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn(async move {
        let mut newest = 0;
        for number in 0_u64.. {
            newest = all.put(format!("/busy/{}", number % 50), number.to_string()).await?;
            if *stopped.borrow_and_update() {
                break;
            }
        }
        Ok::<_, Error>(newest)
    });
    let worked = tokio::task::block_in_place(work);
    stop.send_replace(true);
    let newest = writer.await??;
    worked?;
    Ok((before, newest))
}

fn damaged_files_are_refused(folder: &Path, file: &[u8]) -> Result<()> {
    let bad = folder.join("bad").display().to_string();
    let target = folder.join("none").display().to_string();
    let mut altered = file.to_vec();
    altered[file.len() / 2] ^= 4;
    let cases: [(&[u8], &str); 4] = [
        (&altered, "is damaged at byte"),
        (&file[..file.len() - 7], "is cut short"),
        (b"", "this is no backup"),
        (b"something else that is a little longer than a magic number", "this is no backup"),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&bad, bytes)?;
        refused(&["inspect", &bad], expected);
        refused(&["restore", &bad, "--dir", &target], expected);
        assert!(!folder.join("none").exists());
    }
    Ok(())
}

async fn check(restored: &Cluster, secret: &Value, before: &[String], newest: &u64) -> Result<()> {
    let all = client(restored)?;
    for key in before {
        let (entry, revision) = all.get(key.clone(), Freshness::Linearizable).await?;
        let entry = entry.with_context(|| format!("{key} is lost"))?;
        assert!(entry.mod_revision > *newest && revision > *newest, "revisions went back");
    }
    let read = restored.client(0).await?.get(&format!("{SECRET}/s")).await?.success()?;
    assert_eq!(read["data"], secret["data"]);
    assert_eq!(read["metadata"]["uid"], secret["metadata"]["uid"]);
    let version: u64 = read["metadata"]["resourceVersion"].as_str().context("a version")?.parse()?;
    assert!(version > *newest, "a client's cache would go back to {version}");
    // Whoever watched the old cluster is told to list again.
    let mut watch = all.watch("/app/", Some(*newest));
    let told = tokio::time::timeout(Duration::from_secs(10), watch.next()).await?;
    assert!(matches!(told, Err(Error::Compacted { .. })), "{told:?}");
    // And the cluster works: old objects can be updated, new ones made.
    let stale = all.put_at(before[0].clone(), "y", *newest).await?;
    assert_eq!(stale, None);
    all.put(before[0].clone(), "y").await?;
    let other = json!({"metadata": {"name": "t"}});
    restored.client(0).await?.post(SECRET, &other).await?.success()?;
    Ok(())
}
