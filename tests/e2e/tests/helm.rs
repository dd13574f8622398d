//! Helm against real processes, where it is installed: a chart through its life, with a master that dies on the way.

#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests_e2e::Cluster;

/// Helm with a home of its own.
struct Helm<'a> {
    cluster: &'a Cluster,
    home: &'a Path,
}

impl Helm<'_> {
    fn run(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("helm")
            .args(args)
            .current_dir(self.home)
            .env("HOME", self.home)
            .env("KUBECONFIG", self.cluster.dir().join("kubeconfig"))
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "helm {args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }

    /// The statuses of a release's revisions, from the first.
    fn history(&self, release: &str) -> Result<Vec<String>> {
        let history: Value = serde_json::from_str(&self.run(&["history", release, "-o", "json"])?)?;
        let revisions = history.as_array().context("a list")?;
        Ok(revisions.iter().map(|revision| revision["status"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

fn available(cluster: &Cluster) -> Result<String> {
    let args = ["get", "deployment", "web-greeter", "-o", "jsonpath={.status.availableReplicas}"];
    Ok(String::from_utf8(cluster.kubectl(&args)?.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_installed_upgraded_rolled_back_and_removed() -> Result<()> {
    let has = |program: &str, args: &[&str]| Command::new(program).args(args).output().is_ok();
    if !has("helm", &["version"]) || !has("kubectl", &["version", "--client"]) {
        eprintln!("SKIPPED: helm or kubectl is not installed");
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    let cluster = Cluster::up(3, 2)?;
    let helm = Helm { cluster: &cluster, home: home.path() };
    helm.run(&["create", "greeter"])?;
    let wait = ["--wait", "--timeout", "60s"];
    let said = helm.run(&[&["install", "web", "greeter"][..], &wait].concat())?;
    ensure!(said.contains("STATUS: deployed"), "{said}");
    assert_eq!(available(&cluster)?, "1");

    cluster.kill(&format!("m{}", cluster.leader().await? + 1))?;
    helm.run(&[&["upgrade", "web", "greeter", "--set", "replicaCount=3"][..], &wait].concat())?;
    assert_eq!(available(&cluster)?, "3");
    helm.run(&[&["rollback", "web", "1"][..], &wait].concat())?;
    assert_eq!(available(&cluster)?, "1");
    assert_eq!(helm.history("web")?, ["superseded", "superseded", "deployed"]);

    helm.run(&["uninstall", "web", "--wait"])?;
    let left = cluster.kubectl(&[
        "get",
        "all,serviceaccounts,secrets",
        "-l",
        "app.kubernetes.io/instance=web",
        "-o",
        "name",
    ])?;
    assert_eq!(String::from_utf8(left.stdout)?, "");
    Ok(())
}
