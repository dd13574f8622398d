//! One process of the cluster, a child of ours.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A child; killed when dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a command; what it prints is appended to `log`. `spawn` says where it lives.
    ///
    /// # Errors
    /// When the log cannot be written or the command not be run.
    pub fn start(
        command: &mut Command,
        log: &Path,
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Result<Self> {
        if let Some(folder) = log.parent() {
            fs::create_dir_all(folder)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        // Apart from the terminal: a Ctrl-C there is meant for us alone.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        spawn(command).map(Self).with_context(|| format!("starting {}", command.get_program().display()))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).context("a process without a number")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        self.died().is_none()
    }

    /// How it ended, if it has.
    pub fn died(&mut self) -> Option<String> {
        self.0.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not come within `limit`.
    pub async fn stop(mut self, limit: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while self.runs() {
            if begun.elapsed() > limit {
                bail!("it did not end within {limit:?} of SIGTERM");
            }
            tick.tick().await;
        }
        Ok(())
    }

    /// SIGSTOP or SIGCONT.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self, paused: bool) -> Result<()> {
        self.signal(if paused { Signal::STOP } else { Signal::CONT })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
