//! Who may let masters in and read the whole state; and the command line where there is no kubeconfig.

#![allow(missing_docs)]

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use api_client::v1;
use serde_json::Value;
use tests_e2e::cluster::{Cluster, binary};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Runs `trireme <args>`; what it printed, or what it complained of.
fn trireme(args: &[&str]) -> Result<String> {
    let mut command = Command::new(binary());
    let output = command.args(args).env_remove("KUBECONFIG").env_remove("TRIREME_DIR").output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A channel to the first master, as the bearer of a certificate of this group, or of none.
async fn channel(cluster: &Cluster, group: Option<&str>) -> Result<Channel> {
    let ca = Certificate::from_pem(std::fs::read_to_string(cluster.dir().join("ca.crt"))?);
    let mut tls = ClientTlsConfig::new().ca_certificate(ca);
    if let Some(group) = group {
        let (folder, authority) = (tempfile::tempdir()?, cluster.dir().join("pki").display().to_string());
        let out = folder.path().display().to_string();
        let issue = ["certs", "client", "--user=somebody", "--authority", &authority, "--out", &out];
        trireme(&[&issue[..], &["--group", group]].concat())?;
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name));
        tls = tls.identity(Identity::from_pem(read("somebody.crt")?, read("somebody.key")?));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", cluster.api(0)))?.tls_config(tls)?;
    Ok(endpoint.connect().await?)
}

/// What each call comes to: reading the whole state, making a token, removing a member, joining with no token and with a
/// made-up one. `None` is consent.
async fn refusals(channel: Channel) -> [Option<Code>; 5] {
    let mut maintenance = v1::maintenance_client::MaintenanceClient::new(channel.clone());
    let mut cluster = v1::cluster_client::ClusterClient::new(channel);
    let join = |token: &str| v1::JoinRequest {
        token: token.to_owned(),
        name: "m9".to_owned(),
        peer_address: "127.0.0.1:1".to_owned(),
        api_address: "127.0.0.1:2".to_owned(),
        ..v1::JoinRequest::default()
    };
    let made_up = format!("{}.{}.{}", "a".repeat(8), "b".repeat(32), "c".repeat(64));
    [
        maintenance.backup(v1::BackupRequest::default()).await.err().map(|status| status.code()),
        cluster.create_token(v1::CreateTokenRequest::default()).await.err().map(|status| status.code()),
        cluster.remove(v1::MemberRequest { member: "nobody".to_owned() }).await.err().map(|status| status.code()),
        cluster.join(join("")).await.err().map(|status| status.code()),
        cluster.join(join(&made_up)).await.err().map(|status| status.code()),
    ]
}

/// Every row names who asks. The peer port is for masters alone: raft/node/tests/protocol.rs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_and_reading_the_state_each_need_an_identity_that_may() -> Result<()> {
    let store = Cluster::store(1, "http")?;
    let denied = Some(Code::PermissionDenied);
    let nobody = Some(Code::Unauthenticated);
    let check = async |who: &str, group: Option<&str>, expected: [Option<Code>; 5]| -> Result<()> {
        let found = refusals(channel(&store, group).await?).await;
        ensure!(found == expected, "{who}: {found:?}, not {expected:?}");
        Ok(())
    };
    check("without a certificate", None, [nobody, nobody, nobody, nobody, denied]).await?;
    check("a node", Some("system:nodes"), [denied, denied, denied, nobody, denied]).await?;
    check("for metrics", Some("system:monitoring"), [denied, denied, denied, nobody, denied]).await?;
    check("another master", Some("trireme:masters"), [denied, denied, denied, nobody, denied]).await?;
    check("an administrator", Some("system:masters"), [None, None, Some(Code::NotFound), nobody, denied]).await
}

/// A store has no kubeconfig: its folder will do, or an address and certificates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_administered_by_its_folder_or_by_certificates() -> Result<()> {
    let store = Cluster::store(3, "http")?;
    let at = |name: &str| store.dir().join(name).display().to_string();
    let dir = store.dir().display().to_string();
    let status: Value = serde_json::from_str(&trireme(&["cluster", "status", "-o", "json", "--dir", &dir])?)?;
    ensure!(status["members"].as_array().is_some_and(|members| members.len() == 3), "{status}");
    let (server, ca, admin) = (store.api(1).to_string(), at("ca.crt"), at("admin"));
    let by_certificates = ["cluster", "status", "-o", "yaml", "--server", &server, "--ca", &ca, "--identity", &admin];
    let said = trireme(&by_certificates)?;
    ensure!(said.contains("\nmembers:\n") && said.contains("name: \"m3\""), "{said}");
    let follower = (store.leader().await? + 1) % 3;
    trireme(&["cluster", "transfer", &format!("m{}", follower + 1), "--dir", &dir])?;
    ensure!(store.leader().await? == follower, "leadership was handed over");

    let file = at("backup");
    let saved: Value = serde_json::from_str(&trireme(&["snapshot", "save", &file, "--dir", &dir, "-o", "json"])?)?;
    let inspected = trireme(&["snapshot", "inspect", &file, "-o", "yaml"])?;
    ensure!(saved["file"] == *file && inspected.contains(&format!("revision: {}\n", saved["revision"])), "{inspected}");

    let complaint = |args: &[&str]| trireme(args).err().map(|error| error.to_string()).context("it is refused");
    for (args, advice) in [
        (vec!["cluster", "status", "--dir", "/nowhere"], "--kubeconfig"),
        (vec!["cluster", "status", "--ca", &ca, "--identity", &admin], "--server HOST:PORT"),
        (vec!["cluster", "promote", "m9", "--dir", &dir], "there are m1, m2, m3"),
        (vec!["cluster", "recover", "--data-dir", &dir, "--tls-dir", "/nowhere"], "--tls-dir is to name the folder"),
        (vec!["snapshot", "save", "/nowhere/b", "--dir", "/nowhere"], "--master"),
        (vec!["snapshot", "inspect", "/nowhere/b"], "`trireme snapshot list`"),
    ] {
        let said = complaint(&args)?;
        ensure!(said.contains(advice), "{args:?} says {said:?}, and nothing of {advice:?}");
    }
    Ok(())
}
