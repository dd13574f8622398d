//! A docker engine: the machine's own, or one that is started for a test where docker is installed and nobody runs it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::pages::root;

/// An engine begins within a second or two.
const START_LIMIT: Duration = Duration::from_secs(30);
/// It stops its containers first.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What compose is called, the newer version first.
pub const COMPOSES: [&str; 2] = ["docker compose", "docker-compose"];

/// An engine that answers.
pub struct Engine {
    /// Where it listens, when it is not where docker looks by itself.
    host: Option<String>,
    ours: Option<(Child, TempDir)>,
}

/// Whether a command succeeds.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// Runs a command to its end; what it printed.
///
/// # Errors
/// What it said, when it failed.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let [printed, said] = [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned());
    if output.status.success() { Ok(printed) } else { Err(format!("{command:?}:\n{printed}{said}")) }
}

impl Engine {
    /// The one that answers already, or a new one.
    ///
    /// # Errors
    /// Why there is none: not installed, or not allowed to run here.
    pub fn find() -> Result<Self, String> {
        if succeeds(Command::new("docker").arg("info")) {
            return Ok(Self { host: None, ours: None });
        }
        if !succeeds(Command::new("docker").arg("--version")) {
            return Err("docker is not installed".to_owned());
        }
        if !geteuid().is_root() {
            return Err("no docker engine answers, and only root may start one".to_owned());
        }
        Self::start()
    }

    /// One with folders of its own, so that it leaves nothing behind.
    fn start() -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("trireme-docker-").tempdir().map_err(|e| e.to_string())?;
        let at = |name: &str| folder.path().join(name);
        let host = format!("unix://{}", at("socket").display());
        let log = File::create(at("log")).map_err(|e| e.to_string())?;
        let mut command = Command::new("dockerd");
        for (flag, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(at(name));
        }
        command.args(["--host", &host, "--bridge=none"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| format!("dockerd: {error}"))?;
        let log: PathBuf = at("log");
        let mut engine = Self { host: Some(host), ours: Some((child, folder)) };
        let until = Instant::now() + START_LIMIT;
        while !succeeds(engine.command("docker").arg("info")) {
            let ended = engine.ours.as_mut().is_some_and(|(child, _)| matches!(child.try_wait(), Ok(Some(_))));
            if ended || Instant::now() > until {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let last = said.lines().last().unwrap_or_default();
                return Err(format!("no docker engine answers, and none can be started here: {last}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(engine)
    }

    /// The image, as `./x image` builds it, of a binary.
    ///
    /// # Errors
    /// What was said when it could not be built.
    pub fn build(&self, image: &str, binary: &Path) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let context = folder.path().join("context");
        run(Command::new(root().join("deploy/docker/context.sh")).arg(binary).arg(&context))?;
        let mut command = self.command("docker");
        command.args(["build", "--quiet", "--tag", image, "--file"]);
        run(command.arg(root().join("deploy/docker/Dockerfile")).arg(&context)).map(drop)
    }

    /// The versions of compose that are installed.
    pub fn composes(&self) -> Vec<&'static str> {
        let is_here = |compose: &&str| {
            let mut words = compose.split(' ');
            succeeds(self.command(words.next().unwrap_or_default()).args(words).arg("version"))
        };
        COMPOSES.iter().copied().filter(is_here).collect()
    }

    /// A command that speaks to this engine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some((child, _)) = &mut self.ours else { return };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + STOP_LIMIT;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
