//! What an operator does to a cluster with the binary's command line, and masters that come and go by it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests_e2e::build::Build;

use super::{Cluster, Process, name, tool};

/// How often something that takes a while is looked at.
const EVERY: Duration = Duration::from_millis(50);
/// The same where each look is a process.
const ASK_DOCKER_EVERY: Duration = Duration::from_millis(500);

impl Cluster {
    /// `trireme cluster …`, asked of all first masters; what it prints as JSON.
    ///
    /// # Errors
    /// When it refuses, or is not done within `limit`.
    pub async fn order(&self, order: &[&str], limit: Duration) -> Result<Value> {
        let mut arguments = vec!["cluster".to_owned()];
        arguments.extend(order.iter().map(|word| (*word).to_owned()));
        arguments.push(format!("--kubeconfig={}", self.folder().join("admin/kubeconfig").display()));
        arguments.push(format!("--timeout-s={}", limit.as_secs().max(1)));
        arguments.push("--output=json".to_owned());
        arguments.extend((0..self.masters).map(|index| format!("--server={}", self.site.api(index))));
        let printed = self.trireme(&arguments, limit + Duration::from_secs(1)).await?;
        serde_json::from_str(&printed).with_context(|| format!("it printed {printed:?}"))
    }

    /// `trireme snapshot save`, through any master.
    ///
    /// # Errors
    /// When no backup was made.
    pub async fn save(&self, file: &Path, limit: Duration) -> Result<()> {
        let admin = self.folder().join("admin");
        let mut arguments = vec!["snapshot".to_owned(), "save".to_owned(), file.display().to_string()];
        arguments.push(format!("--ca={}", admin.join("ca.crt").display()));
        arguments.push(format!("--identity={}", admin.join("admin").display()));
        arguments.extend((0..self.masters).map(|index| format!("--master={}", self.site.api(index))));
        self.trireme(&arguments, limit).await.map(drop)
    }

    /// `trireme snapshot inspect`: what is in a backup.
    ///
    /// # Errors
    /// When it is damaged.
    pub async fn inspect(&self, file: &Path, limit: Duration) -> Result<Value> {
        let file = file.display().to_string();
        let arguments = ["snapshot", "inspect", &file, "--output=json"].map(str::to_owned);
        let printed = self.trireme(&arguments, limit).await?;
        serde_json::from_str(&printed).with_context(|| format!("it printed {printed:?}"))
    }

    /// Runs the binary to its end, in the clients' network; what it prints.
    async fn trireme(&self, arguments: &[String], limit: Duration) -> Result<String> {
        let mut command = tokio::process::Command::from(tool());
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(limit, command.output()).await;
        let output = output.with_context(|| format!("{} takes longer than {limit:?}", arguments[..2].join(" ")))??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}", arguments[..3].join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The index of the one master that there is room for beside the first ones.
    pub fn spare(&self) -> usize {
        self.masters
    }

    /// Starts the spare master, with nothing but a token, or in a container nothing but its certificate: it asks the others to
    /// take it in.
    ///
    /// # Errors
    /// When no token is made, or it cannot be started.
    pub async fn join(&self, limit: Duration) -> Result<()> {
        let index = self.spare();
        if let Some(containers) = self.site().containers() {
            return containers.join(index);
        }
        let made = self.order(&["add", &format!("--name={}", name(index))], limit).await?;
        let token = made["token"].as_str().context("an order without a token")?;
        self.forget(index, &["data", "tls"])?;
        let mut command = self.server(index, &Build::present());
        command.args((0..self.masters).map(|other| format!("--join={}", self.site.api(other))));
        command.env("TRIREME_TOKEN", token);
        let process = Process::start(&mut command, &self.log(&name(index)), |c| self.site.spawn(Some(index), c))?;
        *self.processes[index].lock() = Some(process);
        Ok(())
    }

    /// Waits for a master to end by itself; false when it does not.
    pub async fn ends(&self, index: usize, limit: Duration) -> bool {
        let has_ended = || match self.site().containers() {
            // Docker may not answer for a while; it is asked again.
            Some(containers) => containers.has_ended(index).unwrap_or(false),
            None => {
                let mut process = self.processes[index].lock();
                process.take_if(|process| !process.runs());
                process.is_none()
            }
        };
        let every = if self.site().containers().is_some() { ASK_DOCKER_EVERY } else { EVERY };
        let begun = Instant::now();
        let mut tick = tokio::time::interval(every);
        while begun.elapsed() < limit {
            tick.tick().await;
            if has_ended() {
                return true;
            }
        }
        false
    }

    /// Empties these of a master's folders (`data`, `tls`). Nobody may be using them.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn forget(&self, index: usize, folders: &[&str]) -> Result<()> {
        if let Some(containers) = self.site().containers() {
            return containers.wipe(index);
        }
        for folder in folders {
            let path: PathBuf =
                if *folder == "data" { self.data(index) } else { self.folder().join(name(index)).join(folder) };
            if path.exists() {
                std::fs::remove_dir_all(&path).with_context(|| format!("emptying {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Waits until a master serves and votes; false when it does not.
    pub async fn votes(&self, index: usize, limit: Duration) -> bool {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(EVERY);
        while begun.elapsed() < limit {
            tick.tick().await;
            let standing = self.standing(index).await.unwrap_or_default();
            if standing["ready"] == true && standing["role"] != "learner" {
                return true;
            }
        }
        false
    }
}
