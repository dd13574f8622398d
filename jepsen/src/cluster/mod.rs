//! The cluster under test: masters and nodes as processes, killed, paused and started again.

mod certificates;
pub mod clock;
pub mod compose;
pub mod disk;
pub mod network;
mod orders;
mod process;
mod site;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use parking_lot::Mutex;
use serde_json::Value;
use tests_e2e::Client;
use tests_e2e::build::Build;
use tests_e2e::client::Credentials;
use tokio::task::JoinHandle;

use disk::Disk;
pub use process::Process;
pub use site::{Loopback, Site};

/// How long a master may take from its start until it serves.
pub const SERVING_LIMIT: Duration = Duration::from_secs(30);
/// A master that is told to end does so within this: longer than handing over leadership and draining take.
pub const STOP_LIMIT: Duration = Duration::from_secs(20);
/// A question to a master that is not answered by then is not answered.
const ASKING_LIMIT: Duration = Duration::from_secs(1);

/// What a cluster is made of.
pub struct Options {
    /// 3 or 5.
    pub masters: usize,
    /// Simulated nodes.
    pub nodes: usize,
    /// Where the masters live.
    pub site: Arc<dyn Site>,
    /// Whether each master has a disk of ours.
    pub disks: bool,
    /// Whether masters serve etcd's API.
    pub etcd: bool,
    /// Whether their wall clocks are in our hands, which makes every look at a clock slower.
    pub clocks: bool,
    /// Environment of every master.
    pub environment: Vec<(String, String)>,
    /// Keeps the folder (logs, data) when the cluster is gone.
    pub keep: bool,
}

/// A running cluster. Everything it is made of dies with it.
pub struct Cluster {
    // In the order in which they are dropped: processes, what they stand on, where it lies. The last one is the spare.
    processes: Vec<Mutex<Option<Process>>>,
    agent: Mutex<Option<Process>>,
    disks: Vec<Disk>,
    site: Arc<dyn Site>,
    folder: Folder,
    masters: usize,
    nodes: usize,
    id: String,
    etcd: bool,
    clocks: Option<PathBuf>,
    environment: Vec<(String, String)>,
    credentials: Credentials,
}

/// A temporary folder, or one that stays.
enum Folder {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

impl Cluster {
    /// Issues certificates, starts everything and waits until every master serves.
    ///
    /// # Errors
    /// When it does not, with the last words of who does not.
    pub async fn up(options: Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("trireme-chaos-").tempdir()?;
        let folder = if options.keep { Folder::Kept(folder.keep()) } else { Folder::Temporary(folder) };
        let Options { masters, nodes, site, environment, disks, etcd, clocks, .. } = options;
        let admin = folder.path().join("admin");
        if let Some(containers) = site.containers() {
            containers.up(&environment, etcd, &admin)?;
        } else {
            let addresses: Vec<String> = (0..masters).map(|index| site.api(index).ip().to_string()).collect();
            certificates::issue(folder.path(), masters, nodes, &addresses)?;
        }
        let credentials = Credentials::read(&admin.join("ca.crt"), &admin.join("admin.crt"), &admin.join("admin.key"))?;
        let disks = (0..if disks { masters } else { 0 })
            .map(|index| Disk::mount(&folder.path().join(name(index)).join("disk")));
        let cluster = Self {
            disks: disks.collect::<Result<_>>()?,
            id: folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            folder,
            masters,
            nodes,
            etcd,
            clocks: clocks.then(clock::library).flatten(),
            site,
            environment,
            credentials,
            processes: (0..=masters).map(|_| Mutex::new(None)).collect(),
            agent: Mutex::new(None),
        };
        for index in 0..=masters {
            cluster.set_clock(index, 0.0)?;
        }
        for index in 0..masters {
            cluster.launch(index)?;
        }
        for index in 0..masters {
            cluster.serving(index, SERVING_LIMIT).await?;
        }
        // Of five containers two join the others.
        for index in 0..masters {
            ensure!(cluster.votes(index, SERVING_LIMIT).await, "{} does not vote", name(index));
        }
        // Containers bring nodes of their own.
        if nodes > 0 && cluster.site.containers().is_none() {
            cluster.launch_agent()?;
        }
        Ok(cluster)
    }

    /// How many masters there are.
    pub fn masters(&self) -> usize {
        self.masters
    }

    /// Holds a folder for each master, with its log and its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the masters live.
    pub fn site(&self) -> &dyn Site {
        &*self.site
    }

    /// The administrator's.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The log of `m1`, `nodes` …
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder().join(name).join("log")
    }

    /// The data folder of a master.
    pub fn data(&self, index: usize) -> PathBuf {
        match self.disk(index) {
            Some(disk) => disk.folder().join("data"),
            None => self.folder().join(name(index)).join("data"),
        }
    }

    /// The disk of a master, where it is one of ours.
    pub fn disk(&self, index: usize) -> Option<&Disk> {
        self.disks.get(index)
    }

    /// Starts a master that does not run. Does not wait for it to serve.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn launch(&self, index: usize) -> Result<()> {
        self.launch_as(index, &Build::present())
    }

    /// As [`Cluster::launch`], by a build.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn launch_as(&self, index: usize, build: &Build) -> Result<()> {
        if let Some(containers) = self.site.containers() {
            return containers.start(index, build);
        }
        let mut process = self.processes[index].lock();
        if process.as_mut().is_some_and(Process::runs) {
            return Ok(());
        }
        let mut command = self.command(index, build);
        *process = Some(Process::start(&mut command, &self.log(&name(index)), |c| self.site.spawn(Some(index), c))?);
        Ok(())
    }

    /// Starts a master and waits until it serves, or ends: whether it serves, or at least still runs, by then.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub async fn try_launch(&self, index: usize, limit: Duration) -> Result<bool> {
        let mut command = self.command(index, &Build::present());
        let log = self.log(&name(index));
        let mut process = Process::start(&mut command, &log, |c| self.site.spawn(Some(index), c))?;
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while begun.elapsed() < limit && !self.standing(index).await.is_ok_and(|standing| standing["ready"] == true) {
            if !process.runs() {
                return Ok(false);
            }
            tick.tick().await;
        }
        *self.processes[index].lock() = Some(process);
        Ok(true)
    }

    /// A first master's: who they are, it knows from the beginning.
    fn command(&self, index: usize, build: &Build) -> Command {
        let mut command = self.server(index, build);
        command.arg(format!("--cluster-id={}", self.id));
        for other in 0..self.masters {
            let (peer, api) = (self.site.peer(other), self.site.api(other));
            let mut member = format!("--member={}={},{peer},{api}", other + 1, name(other));
            if self.etcd {
                member.push_str(&format!(",https://{}", self.site.etcd(other)));
            }
            command.arg(member);
        }
        command
    }

    /// What every master is started with.
    fn server(&self, index: usize, build: &Build) -> Command {
        let mut command = Command::new(&build.binary);
        command
            .envs(build.variables.iter().copied())
            .arg("server")
            .arg(format!("--name={}", name(index)))
            .arg(format!("--data-dir={}", self.data(index).display()))
            .arg(format!("--tls-dir={}", self.folder().join(name(index)).join("tls").display()))
            .arg(format!("--api-listen={}", self.site.api(index)))
            .arg(format!("--peer-listen={}", self.site.peer(index)));
        if self.etcd {
            command.arg(format!("--etcd-listen=https://{}", self.site.etcd(index)));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(library) = &self.clocks {
            clock::follow(&mut command, library, &self.clock(index));
        }
        command
    }

    fn clock(&self, index: usize) -> PathBuf {
        self.folder().join(name(index)).join("clock")
    }

    /// Puts a master's wall clock so many seconds off.
    ///
    /// # Errors
    /// When that cannot be said to it.
    pub fn set_clock(&self, index: usize, seconds: f64) -> Result<()> {
        clock::set(&self.clock(index), seconds)
    }

    /// Lets a master's wall clock run so many hundredths too fast, until the task is aborted.
    pub fn drift_clock(&self, index: usize, percent: f64) -> JoinHandle<()> {
        clock::drift(self.clock(index), percent)
    }

    fn launch_agent(&self) -> Result<()> {
        let mut command = Command::new(tests_e2e::cluster::binary());
        let tls = self.folder().join("nodes/tls");
        command.args(["agent", "--simulated"]);
        command.arg(format!("--ca={}", tls.join("ca.crt").display()));
        command.arg(format!("--tls-dir={}", tls.display()));
        command.args((0..self.masters).map(|index| format!("--api={}", self.site.api(index))));
        command.args((1..=self.nodes).map(|node| format!("--node=node-{node}")));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let process = Process::start(&mut command, &self.log("nodes"), |c| self.site.spawn(None, c))?;
        *self.agent.lock() = Some(process);
        Ok(())
    }

    /// SIGKILL, and the process is gone when this returns.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn kill(&self, index: usize) -> Result<()> {
        if let Some(containers) = self.site.containers() {
            return containers.kill(index);
        }
        match self.processes[index].lock().take() {
            Some(process) => process.kill(),
            None => Ok(()),
        }
    }

    /// SIGTERM, and waits until the process has ended by itself.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub async fn stop(&self, index: usize, limit: Duration) -> Result<()> {
        if let Some(containers) = self.site.containers() {
            return containers.stop(index, limit).with_context(|| format!("stopping {}", name(index)));
        }
        let process = self.processes[index].lock().take();
        match process {
            Some(process) => process.stop(limit).await.with_context(|| format!("stopping {}", name(index))),
            None => Ok(()),
        }
    }

    /// SIGSTOP or, with `false`, SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, index: usize, paused: bool) -> Result<()> {
        if let Some(containers) = self.site.containers() {
            return containers.pause(index, paused);
        }
        match &*self.processes[index].lock() {
            Some(process) => process.pause(paused),
            None => bail!("{} does not run", name(index)),
        }
    }

    /// Why a master that was not told to end has ended, if it has.
    pub fn died(&self, index: usize) -> Option<String> {
        if let Some(containers) = self.site.containers() {
            return containers.died(index);
        }
        self.processes[index].lock().as_mut().and_then(Process::died)
    }

    /// A connection to a master as administrator.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn client(&self, index: usize) -> Result<Client> {
        let connecting = Client::connect(self.site.api(index), &self.credentials);
        tokio::time::timeout(ASKING_LIMIT, connecting).await.context("connecting")?
    }

    /// What a master says of itself.
    ///
    /// # Errors
    /// When it does not answer within a second.
    pub async fn standing(&self, index: usize) -> Result<Value> {
        let client = self.client(index).await?;
        tokio::time::timeout(ASKING_LIMIT, client.get("/trireme/standing")).await.context("asking")??.success()
    }

    /// The master that leads, as soon as one does.
    ///
    /// # Errors
    /// When none does within `limit`.
    pub async fn leader(&self, limit: Duration) -> Result<usize> {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while begun.elapsed() < limit {
            let standings = futures::future::join_all((0..self.masters).map(|index| self.standing(index))).await;
            // A paused leader does not know yet that it was deposed: the highest term counts.
            let leads = standings.iter().enumerate().filter_map(|(index, standing)| {
                let standing = standing.as_ref().ok()?;
                (standing["leads"] == true).then(|| (standing["term"].as_u64(), index))
            });
            if let Some((_, index)) = leads.max() {
                return Ok(index);
            }
            tick.tick().await;
        }
        bail!("no master leads after {limit:?}")
    }

    /// Waits until the leader says that the cluster works as builds of the level before do; false when it does not.
    pub async fn works_low(&self, limit: Duration) -> bool {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while begun.elapsed() < limit {
            tick.tick().await;
            let Ok(leader) = self.leader(ASKING_LIMIT).await else { continue };
            let standing = self.standing(leader).await.unwrap_or_default();
            if standing["leads"] == true && standing["clusterLevel"] == 1 {
                return true;
            }
        }
        false
    }

    /// Waits until a master is ready, be it after another start.
    ///
    /// # Errors
    /// When it is not within `limit`, with its last words.
    pub async fn serving(&self, index: usize, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if self.standing(index).await.is_ok_and(|standing| standing["ready"] == true) {
                return Ok(());
            }
            if begun.elapsed() > limit {
                bail!("{} does not serve after {limit:?}; its last words:\n{}", name(index), self.last_words(index));
            }
        }
    }

    /// The end of a master's log.
    pub fn last_words(&self, index: usize) -> String {
        let log = match self.site.containers() {
            Some(containers) => containers.last_words(index),
            None => std::fs::read_to_string(self.log(&name(index))).unwrap_or_default(),
        };
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
    }
}

/// The binary under test, for what is no part of the cluster. One that has planted bugs wants to be told which.
fn tool() -> Command {
    let mut command = Command::new(tests_e2e::cluster::binary());
    command.env(planted_bugs::VARIABLE, "none");
    command
}

/// Whether the binary under test serves etcd's API.
///
/// # Errors
/// When it cannot be run.
pub fn speaks_etcd() -> Result<bool> {
    let output = tool().args(["server", "--help"]).output();
    let binary = tests_e2e::cluster::binary();
    let output = output.with_context(|| format!("running {}; ./x chaos builds it", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("--etcd-listen"))
}

/// `m1` for the first.
pub fn name(index: usize) -> String {
    format!("m{}", index + 1)
}
