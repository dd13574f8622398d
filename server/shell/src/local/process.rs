//! One process of a local cluster: started apart from the terminal, known by its pid file.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A process that this folder's cluster has.
#[derive(Clone, Debug)]
pub struct Process {
    /// `m1`, `front`, `nodes`
    pub name: String,
    /// Holds `pid` and `log`.
    pub folder: PathBuf,
    /// Arguments of the binary.
    pub args: Vec<String>,
    /// What it listens on: purpose and port on loopback.
    pub ports: Vec<(&'static str, u16)>,
}

/// What the pid file says, checked against the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No pid file.
    Absent,
    /// The pid file names a process that is gone, or one that is none of ours.
    Stale,
    /// It was killed, and the kernel has not taken all of it away yet: its ports may still be held.
    Dying,
    /// It runs.
    Running(i32),
}

impl Process {
    fn pid_path(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// Where its output goes.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether it runs. A pid is only believed when that process has this very folder or listen address on its command
    /// line: pids are used again.
    pub fn state(&self) -> State {
        let Ok(text) = fs::read_to_string(self.pid_path()) else { return State::Absent };
        let Ok(pid) = text.trim().parse::<i32>() else { return State::Stale };
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return State::Stale };
        if line.is_empty() {
            return match without_command_line(pid) {
                Nameless::Starting => State::Running(pid),
                Nameless::Ending => State::Dying,
                Nameless::Gone | Nameless::Kernel => State::Stale,
            };
        }
        let args: Vec<&[u8]> = line.split(|b| *b == 0).collect();
        match self.args.iter().all(|arg| args.contains(&arg.as_bytes())) {
            false => State::Stale,
            true if is_being_killed(pid) => State::Dying,
            true => State::Running(pid),
        }
    }

    /// Starts it unless it runs; its output is appended to its log.
    pub async fn start(&self) -> Result<()> {
        self.start_with(&[]).await
    }

    /// As [`Process::start`], with variables that are not for the command line.
    pub async fn start_with(&self, variables: &[(&str, String)]) -> Result<()> {
        if let State::Running(_) = self.state() {
            return Ok(());
        }
        // A predecessor that was killed a moment ago may still hold the data folder; who does so for good is named later.
        self.let_go(Duration::from_secs(10)).await;
        self.wait_for_ports(Duration::from_secs(10)).await?;
        fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .with_context(|| format!("opening {}", self.log_path().display()))?;
        let binary = std::env::current_exe().context("finding this binary")?;
        let child = Command::new(&binary)
            .args(&self.args)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0) // a Ctrl-C at the terminal is not meant for it
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        fs::write(self.pid_path(), format!("{}\n", child.id())).context("writing the pid file")
    }

    /// Names a port that somebody else holds.
    pub fn check_ports(&self) -> Result<()> {
        for (purpose, port) in &self.ports {
            if let Err(error) = std::net::TcpListener::bind(super::layout::loopback(*port)) {
                bail!(
                    "port {port} ({purpose} of {}) is taken: {error}; stop what uses it, or choose other ports with --base-port",
                    self.name
                );
            }
        }
        Ok(())
    }

    /// Waits for ports that a predecessor, killed a moment ago, still holds; names one that somebody else holds.
    pub async fn wait_for_ports(&self, limit: Duration) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let freed = tokio::time::timeout(limit, async {
            // A zombie whose parent never asks for it holds no ports: they decide, not the process.
            while self.check_ports().is_err() && self.state() == State::Dying {
                tick.tick().await;
            }
        });
        let _ = freed.await;
        self.check_ports()
    }

    /// Waits until it holds nothing any more, neither ports nor locks; false when it still does after `limit`.
    pub async fn let_go(&self, limit: Duration) -> bool {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        tokio::time::timeout(limit, async {
            while self.holds_something() {
                tick.tick().await;
            }
        })
        .await
        .is_ok()
    }

    fn holds_something(&self) -> bool {
        let State::Dying = self.state() else { return matches!(self.state(), State::Running(_)) };
        let pid = fs::read_to_string(self.pid_path()).unwrap_or_default();
        let folder = PathBuf::from("/proc").join(pid.trim());
        let Ok(stat) = fs::read_to_string(folder.join("stat")) else { return false };
        let is_zombie = stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
        // Files are closed when the last thread ends; the first may be a zombie before.
        let threads = fs::read_dir(folder.join("task")).map_or(0, Iterator::count);
        !is_zombie || threads > 1
    }

    /// Stops it: SIGTERM, and SIGKILL when that is not heeded within `limit`. False when it did not run.
    pub async fn stop(&self, limit: Duration) -> Result<bool> {
        let State::Running(pid) = self.state() else {
            let _ = fs::remove_file(self.pid_path());
            return Ok(false);
        };
        self.signal(pid, Signal::TERM)?;
        if !self.gone_within(limit).await {
            self.signal(pid, Signal::KILL)?;
            if !self.gone_within(limit).await {
                bail!("{} (pid {pid}) does not die", self.name);
            }
        }
        let _ = fs::remove_file(self.pid_path());
        Ok(true)
    }

    fn signal(&self, pid: i32, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(pid).context("pid 0")?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("signalling {}", self.name)),
        }
    }

    async fn gone_within(&self, limit: Duration) -> bool {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        tokio::time::timeout(limit, async {
            while matches!(self.state(), State::Running(_)) {
                tick.tick().await;
            }
        })
        .await
        .is_ok()
    }
}

/// What a process is that has no command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nameless {
    /// In the midst of execve(2): the old memory is gone, the new arguments are not there yet.
    Starting,
    /// Its memory is gone, and the command line with it; sockets follow, some milliseconds later.
    Ending,
    /// It went meanwhile.
    Gone,
    /// A thread of the kernel, which has this pid after a reboot.
    Kernel,
}

fn without_command_line(pid: i32) -> Nameless {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return Nameless::Gone };
    match nameless(&stat) {
        Nameless::Starting if is_being_killed(pid) => Nameless::Ending,
        other => other,
    }
}

/// Reads state and flags out of /proc/pid/stat (proc_pid_stat(5)); the flags are those of Linux's `include/linux/sched.h`.
fn nameless(stat: &str) -> Nameless {
    const PF_EXITING: u64 = 0x4;
    const PF_KTHREAD: u64 = 0x0020_0000;
    // The name stands in parentheses and may hold spaces and parentheses itself.
    let Some((_, rest)) = stat.rsplit_once(')') else { return Nameless::Gone };
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next().unwrap_or("X");
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u64>().ok()).unwrap_or(0);
    match state {
        _ if flags & PF_KTHREAD != 0 => Nameless::Kernel,
        "Z" | "X" | "x" => Nameless::Ending,
        _ if flags & PF_EXITING != 0 => Nameless::Ending,
        _ => Nameless::Starting,
    }
}

/// Whether SIGKILL is pending for this process, as /proc/pid/status says (proc_pid_status(5)).
fn is_being_killed(pid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let pending = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let sigkill = 1u64 << (Signal::KILL.as_raw() - 1);
    ["SigPnd:", "ShdPnd:"].iter().any(|field| pending(field).is_some_and(|signals| signals & sigkill != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_of_another_process_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process {
            name: "m1".to_owned(),
            folder: folder.path().to_owned(),
            args: vec!["server".to_owned(), "--name=m1-of-this-test".to_owned()],
            ports: Vec::new(),
        };
        assert_eq!(process.state(), State::Absent);
        fs::write(folder.path().join("pid"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(process.state(), State::Stale);
        fs::write(folder.path().join("pid"), "not a number").unwrap();
        assert_eq!(process.state(), State::Stale);
    }

    #[test]
    fn a_killed_process_does_not_run_from_that_moment_on() {
        let folder = tempfile::tempdir().unwrap();
        let args = vec!["86421".to_owned()];
        let process = Process { name: "m1".to_owned(), folder: folder.path().to_owned(), args, ports: Vec::new() };
        for _ in 0..20 {
            let mut child = Command::new("sleep").arg("86421").spawn().unwrap();
            fs::write(folder.path().join("pid"), format!("{}\n", child.id())).unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            assert_eq!(process.state(), State::Running(pid));
            process.signal(pid, Signal::KILL).unwrap();
            assert_eq!(process.state(), State::Dying);
            child.wait().unwrap();
            assert_eq!(process.state(), State::Stale);
        }
    }

    #[test]
    fn a_process_without_a_command_line_starts_or_ends() {
        for (stat, expected) in [
            ("7 (trireme) R 1 7 7 0 -1 4194304 0 0", Nameless::Starting),
            ("7 (a) Z (b) D 1 7 7 0 -1 4194304 0 0", Nameless::Starting),
            ("7 (trireme) R 1 7 7 0 -1 4194308 0 0", Nameless::Ending),
            ("7 (trireme) Z 1 7 7 0 -1 4194304 0 0", Nameless::Ending),
            ("7 (kworker/0:1) I 2 0 0 0 -1 69238880 0 0", Nameless::Kernel),
            ("", Nameless::Gone),
        ] {
            assert_eq!(nameless(stat), expected, "{stat:?}");
        }
    }

    #[test]
    fn a_process_runs_from_the_moment_it_was_started() {
        let folder = tempfile::tempdir().unwrap();
        let args = vec!["86422".to_owned()];
        let process = Process { name: "m1".to_owned(), folder: folder.path().to_owned(), args, ports: Vec::new() };
        for _ in 0..200 {
            let mut child = Command::new("sleep").arg("86422").spawn().unwrap();
            fs::write(folder.path().join("pid"), format!("{}\n", child.id())).unwrap();
            let state = process.state();
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(state, State::Running(i32::try_from(child.id()).unwrap()));
        }
    }

    #[test]
    fn a_taken_port_is_named_with_its_purpose() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        let process =
            Process { name: "m2".to_owned(), folder: PathBuf::new(), args: Vec::new(), ports: vec![("API", port)] };
        let error = process.check_ports().unwrap_err().to_string();
        assert!(error.starts_with(&format!("port {port} (API of m2) is taken")), "{error}");
    }
}
