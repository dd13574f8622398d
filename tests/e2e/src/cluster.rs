//! A cluster of processes in a temporary folder, on ports of its own, gone when dropped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::{Client, Credentials};
use crate::ports::Ports;

/// A running cluster.
pub struct Cluster {
    dir: tempfile::TempDir,
    ports: Ports,
    masters: usize,
    credentials: Credentials,
    /// What its processes find in their environment beside ours.
    variables: Vec<(String, String)>,
}

/// What a cluster is started with beside its options.
#[derive(Clone, Copy, Default)]
struct Start<'a> {
    /// Not the binary under test, but this one.
    binary: Option<&'a Path>,
    /// For the environment of its processes.
    variables: &'a [(&'a str, &'a str)],
}

/// The binary under test: `TRIREME_BIN`, or what `./x` built.
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("TRIREME_BIN") {
        return path.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/e2e lies two folders down");
    let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root.join("target"), PathBuf::from);
    target.join("release/trireme")
}

impl Cluster {
    /// Starts a cluster and waits until it serves.
    ///
    /// # Errors
    /// When it does not, with its last words.
    pub fn up(masters: usize, nodes: usize) -> Result<Self> {
        Self::with(masters, &[&format!("--nodes={nodes}")], Start::default(), |_, _| Ok(()))
    }

    /// As [`Cluster::up`], with settings in the environment of its processes, whenever they are started.
    ///
    /// # Errors
    /// As [`Cluster::up`].
    pub fn with_variables(masters: usize, nodes: usize, variables: &[(&str, &str)]) -> Result<Self> {
        Self::started_by(&binary(), masters, nodes, variables)
    }

    /// As [`Cluster::with_variables`], of another binary.
    ///
    /// # Errors
    /// As [`Cluster::up`].
    pub fn started_by(binary: &Path, masters: usize, nodes: usize, variables: &[(&str, &str)]) -> Result<Self> {
        let start = Start { binary: Some(binary), variables };
        Self::with(masters, &[&format!("--nodes={nodes}")], start, |_, _| Ok(()))
    }

    /// As [`Cluster::up`], in a folder that `prepare` makes, given its path and the base port.
    ///
    /// # Errors
    /// As [`Cluster::up`], and those of `prepare`.
    pub fn from(masters: usize, nodes: usize, prepare: impl FnOnce(&Path, u16) -> Result<()>) -> Result<Self> {
        Self::with(masters, &[&format!("--nodes={nodes}")], Start::default(), prepare)
    }

    /// Starts masters that serve the store alone, `http` or `https`, and waits until they do.
    ///
    /// # Errors
    /// As [`Cluster::up`].
    pub fn store(masters: usize, scheme: &str) -> Result<Self> {
        Self::store_with_variables(masters, scheme, &[])
    }

    /// As [`Cluster::store`], with settings in the environment of its processes.
    ///
    /// # Errors
    /// As [`Cluster::up`].
    pub fn store_with_variables(masters: usize, scheme: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let start = Start { binary: None, variables };
        Self::with(masters, &[&format!("--store-only={scheme}")], start, |_, _| Ok(()))
    }

    fn with(
        masters: usize,
        options: &[&str],
        start: Start<'_>,
        prepare: impl FnOnce(&Path, u16) -> Result<()>,
    ) -> Result<Self> {
        let Start { binary: by, variables } = start;
        let by = by.map_or_else(binary, Path::to_owned);
        let dir = tempfile::Builder::new().prefix("trireme-e2e-").tempdir()?;
        let ports = Ports::claim();
        let base_port = ports.base();
        std::fs::remove_dir(dir.path())?;
        prepare(dir.path(), base_port)?;
        let output = Command::new(&by)
            .args(["local", "--dir"])
            .arg(dir.path())
            .args(["up", &format!("--masters={masters}")])
            .args(options)
            .arg(format!("--base-port={base_port}"))
            .envs(variables.iter().copied())
            .output()
            .with_context(|| format!("running {}; ./x test builds it", by.display()))?;
        if !output.status.success() {
            bail!("the cluster does not start: {}", String::from_utf8_lossy(&output.stderr));
        }
        let at = |name: &str| dir.path().join(name);
        let credentials = Credentials::read(&at("ca.crt"), &at("admin.crt"), &at("admin.key"))?;
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Self { dir, ports, masters, credentials, variables })
    }

    /// How many masters it has.
    pub fn masters(&self) -> usize {
        self.masters
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The API address of master `index`, counted from 0.
    ///
    /// # Panics
    /// Never: there are a handful of masters.
    pub fn api(&self, index: usize) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.base() + 3 + u16::try_from(index).expect("a handful")).into()
    }

    /// The address of etcd's API on master `index`, counted from 0.
    ///
    /// # Panics
    /// Never: there are a handful of masters.
    pub fn etcd(&self, index: usize) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.base() + 20 + u16::try_from(index).expect("a handful")).into()
    }

    /// The front door.
    pub fn front(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.base()).into()
    }

    /// The administrator's credentials.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A connection to master `index` as administrator.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn client(&self, index: usize) -> Result<Client> {
        Client::connect(self.api(index), &self.credentials).await
    }

    /// What a master says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn standing(&self, index: usize) -> Result<Value> {
        self.client(index).await?.get("/trireme/standing").await?.success()
    }

    /// The index of the master that leads, as soon as one does.
    ///
    /// # Errors
    /// When none does within ten seconds.
    pub async fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            for index in 0..self.masters {
                if self.standing(index).await.is_ok_and(|s| s["leads"] == true) {
                    return Ok(index);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("no master leads after 10 s")
    }

    /// Every process that the folder knows of, also those that joined later.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir()).into_iter().flatten().flatten();
        let with_pid = entries.filter(|entry| entry.path().join("pid").exists());
        with_pid.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Runs `trireme cluster <args>` as this cluster's administrator, through the front door.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn ctl(&self, args: &[&str]) -> Result<String> {
        let kubeconfig = self.dir().join("kubeconfig");
        let output = Command::new(binary()).arg("cluster").args(args).arg("--kubeconfig").arg(kubeconfig).output()?;
        if !output.status.success() {
            bail!("trireme cluster {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Process id of `m1`, `front`, `nodes`.
    ///
    /// # Errors
    /// When it has no pid file.
    pub fn pid(&self, name: &str) -> Result<i32> {
        let path = self.dir().join(name).join("pid");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(text.trim().parse()?)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_raw(self.pid(name)?).context("pid 0")?, signal)?)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::KILL)
    }

    /// Runs `trireme local <args>` on this cluster.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn local(&self, args: &[&str]) -> Result<String> {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.local_by(&binary(), &variables, args)
    }

    /// As [`Cluster::local`], by another binary, which is also what it starts, and with other settings in the environment.
    ///
    /// # Errors
    /// As [`Cluster::local`].
    pub fn local_by(&self, binary: &Path, variables: &[(&str, &str)], args: &[&str]) -> Result<String> {
        let mut command = Command::new(binary);
        command.args(["local", "--dir"]).arg(self.dir()).args(args).envs(variables.iter().copied());
        let output = command.output()?;
        if !output.status.success() {
            bail!("trireme local {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a process again and waits until it serves.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(&self, name: &str) -> Result<()> {
        self.local(&["start", name]).map(drop)
    }

    /// Runs kubectl against the front door.
    ///
    /// # Errors
    /// When there is no kubectl.
    pub fn kubectl(&self, args: &[&str]) -> Result<Output> {
        Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(self.dir().join("kubeconfig"))
            // Discovery is cached by host and port, and another test's cluster may have had ours.
            .arg("--cache-dir")
            .arg(self.dir().join("kube-cache"))
            .args(args)
            .output()
            .context("running kubectl")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The logs are what a failed test leaves to read.
            for name in self.names() {
                let log = std::fs::read_to_string(self.dir().join(&name).join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                eprintln!("--- {name}");
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
        for name in self.names() {
            let _ = self.kill(&name);
        }
    }
}
