//! Processes as a service manager runs them, and as somebody at a terminal does.

#![allow(missing_docs)]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tests_e2e::client::Credentials;
use tests_e2e::cluster::binary;
use tests_e2e::{Client, Cluster};

const PATIENCE: Duration = Duration::from_secs(60);

/// A process of the cluster, started by the command line that it was started with before, as systemd would.
struct Unit(Child);

impl Unit {
    fn start(command_line: &[String], notify: &Path) -> Result<Self> {
        let mut command = Command::new(&command_line[0]);
        command.args(&command_line[1..]).env("NOTIFY_SOCKET", notify);
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    fn stop(&self) -> Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        Ok(kill_process(pid, Signal::TERM)?)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command_line(cluster: &Cluster, name: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{}/cmdline", cluster.pid(name)?))?;
    Ok(text.split_terminator('\0').map(str::to_owned).collect())
}

/// Waits for a message that says all of this.
fn told(socket: &UnixDatagram, expected: &[&str]) -> Result<String> {
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).with_context(|| format!("waiting for {expected:?}"))?;
    let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
    ensure!(expected.iter().all(|words| said.contains(words)), "{said:?} does not say {expected:?}");
    Ok(said)
}

/// Whether a master answers a health check well.
async fn answers(cluster: &Cluster, index: usize, path: &str) -> bool {
    match Client::connect(cluster.api(index), &Credentials::trusting_anyone()).await {
        Ok(client) => client.get(path).await.is_ok_and(|reply| reply.status.is_success()),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_when_a_process_serves_and_when_it_stops() -> Result<()> {
    let cluster = Cluster::up(3, 1)?;
    let lines = ["m1", "m2", "m3", "front", "nodes"].map(|name| command_line(&cluster, name));
    let [first, second, third, front, nodes] = lines;
    cluster.local(&["down"])?;
    let (first, others) = (first?, [second?, third?]);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(PATIENCE))?;

    // One of three answers, and serves nothing.
    let alone = Unit::start(&first, &path)?;
    let begun = Instant::now();
    while !answers(&cluster, 0, "/livez").await {
        ensure!(begun.elapsed() < PATIENCE, "m1 does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    socket.set_nonblocking(true)?;
    let early = socket.recv(&mut [0; 512]).map_err(|error| error.kind());
    ensure!(early == Err(ErrorKind::WouldBlock), "it says that it serves, and has no quorum");
    socket.set_nonblocking(false)?;
    drop(alone);

    // A cluster that begins: what every cluster has is not there from the start.
    for name in ["m1", "m2", "m3"] {
        std::fs::remove_dir_all(cluster.dir().join(name).join("data"))?;
    }
    let mut first = Unit::start(&first, &path)?;
    let _others = [Unit::start(&others[0], &path)?, Unit::start(&others[1], &path)?];
    for _ in 0..3 {
        let said = told(&socket, &["READY=1", "STATUS=m", "serves"])?;
        let index = (0..3).find(|index| said.contains(&format!("m{} serves", index + 1))).context("a master")?;
        ensure!(
            answers(&cluster, index, "/readyz/bootstrap").await,
            "{said:?}, and a first client would be turned away"
        );
    }
    let _front = Unit::start(&front?, &path)?;
    told(&socket, &["READY=1", "STATUS=open"])?;
    let _nodes = Unit::start(&nodes?, &path)?;
    told(&socket, &["READY=1", "STATUS=nodes run"])?;

    // A watch would last for half an hour: it is ended whole, not cut off, and nobody waits for it.
    let mut watch = cluster.client(0).await?.watch("/api/v1/namespaces?watch=true").await?;
    ensure!(watch.next().await?.is_some(), "it begins with what is there");
    first.stop()?;
    told(&socket, &["STOPPING=1"])?;
    let ended = async {
        while watch.next().await?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, ended).await.context("the watch goes on")??;
    let status = first.0.wait()?;
    ensure!(status.success(), "told to stop, it ends as a success: {status}");
    Ok(())
}

/// A command at a terminal of its own: what it has written there so far, and what is typed.
struct Terminal {
    child: Child,
    seen: std::sync::mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    /// `None` where there is no `script`, which makes terminals.
    fn run(command: &str) -> Option<Self> {
        let script = Command::new("script")
            .args(["-qefc", command, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = script else {
            eprintln!("SKIPPED: script, which makes terminals, is not installed");
            return None;
        };
        let mut output = child.stdout.take()?;
        let (sender, seen) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Self { child, seen, text: String::new() })
    }

    fn wait_for(&mut self, words: &str) -> Result<()> {
        let begun = Instant::now();
        while !self.text.contains(words) {
            ensure!(begun.elapsed() < PATIENCE, "no {words:?} in {:?}", self.text);
            let more = self.seen.recv_timeout(PATIENCE).with_context(|| format!("no {words:?} in {:?}", self.text))?;
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
        Ok(())
    }

    fn press(&mut self, key: &str) -> Result<()> {
        Ok(self.child.stdin.as_mut().context("a terminal")?.write_all(key.as_bytes())?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ESCAPE: char = '\x1b';

#[test]
fn colours_are_for_terminals() -> Result<()> {
    let help = Command::new(binary()).arg("--help").env("TERM", "xterm").output()?;
    ensure!(!String::from_utf8_lossy(&help.stdout).contains(ESCAPE), "help in a pipe is plain");
    let wrong = Command::new(binary()).arg("--no-such").env("TERM", "xterm").output()?;
    ensure!(!String::from_utf8_lossy(&wrong.stderr).contains(ESCAPE), "errors in a pipe are plain");
    let Some(mut terminal) = Terminal::run(&format!("{} --help", binary().display())) else { return Ok(()) };
    terminal.wait_for("Usage")?;
    ensure!(terminal.text.contains(ESCAPE), "help at a terminal is not: {:?}", terminal.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn top_lives_at_a_terminal_until_q() -> Result<()> {
    let cluster = Cluster::up(3, 0)?;
    let kubeconfig = cluster.dir().join("kubeconfig");
    let refused =
        Command::new(binary()).args(["top", "--kubeconfig"]).arg(&kubeconfig).stdin(Stdio::null()).output()?;
    ensure!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--once"), "{refused:?}");
    let top = format!("{} top --kubeconfig {}", binary().display(), kubeconfig.display());
    let Some(mut terminal) = Terminal::run(&top) else { return Ok(()) };
    terminal.wait_for("3 of 3 members answer")?;
    cluster.kill(&format!("m{}", cluster.leader().await? + 1))?;
    terminal.wait_for("2 of 3 members answer")?;
    terminal.press("q")?;
    // The terminal is put back as it was.
    terminal.wait_for("\x1b[?1049l")?;
    let status = terminal.child.wait()?;
    ensure!(status.success() && terminal.text.contains("\x1b[?1049h"), "{status}");
    Ok(())
}
