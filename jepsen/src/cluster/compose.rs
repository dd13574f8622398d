//! The compose cluster as a place for masters: the containers of `docker-compose.yml`, each master with a port of its own
//! published on loopback, under the machine's docker engine or one that is started for the round.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use parking_lot::Mutex;
use tempfile::TempDir;
use tests_e2e::docker::{Engine, run};
use tests_e2e::pages::root;

use super::{Site, name};

/// As many masters as the file has without its profiles.
pub const MASTERS: usize = 3;
/// What of the file is brought up. Certificates live longer than a round: nobody has to renew them.
const SERVICES: &[&str] = &["certs", "m1", "m2", "m3", "front", "w1", "w2"];
/// Docker is asked no more often whether a master has ended: each question is a process.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A project of compose; taken down with its volumes, and the image removed, when dropped.
pub struct Compose {
    project: String,
    /// `docker compose` or `docker-compose`.
    compose: &'static str,
    image: String,
    /// The third number of the network's addresses.
    net: u32,
    api: Vec<u16>,
    front: u16,
    /// Holds what is added to the file.
    folder: TempDir,
    masters: Vec<Mutex<Master>>,
    // Last: it outlives what runs in it.
    engine: Engine,
}

/// What is known of a master's container.
#[derive(Default)]
struct Master {
    id: String,
    /// How often docker had started it again when it was looked at last.
    restarts: u64,
    looked: Option<Instant>,
}

impl Compose {
    /// Finds or starts an engine and builds the image of the binary under test.
    ///
    /// # Errors
    /// What this machine lacks.
    pub fn new() -> Result<Self> {
        let engine = Engine::find().map_err(|why| anyhow!("no docker engine: {why}"))?;
        let compose =
            *engine.composes().first().context("neither `docker compose` nor `docker-compose` is installed")?;
        let number = std::process::id();
        let image = format!("trireme:chaos-{number}");
        said(engine.build(&image)).context("building the image")?;
        // All are held until the last is found, so that none is given twice.
        let sockets: Vec<TcpListener> =
            (0..=MASTERS).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
        let ports: Vec<u16> = sockets.iter().map(|s| Ok(s.local_addr()?.port())).collect::<io::Result<_>>()?;
        Ok(Self {
            project: format!("trireme-chaos-{number}"),
            compose,
            image,
            net: 100 + number % 100,
            api: ports[..MASTERS].to_vec(),
            front: ports[MASTERS],
            folder: tempfile::tempdir()?,
            masters: (0..MASTERS).map(|_| Mutex::default()).collect(),
            engine,
        })
    }

    /// Brings all up, with more in the masters' environment than the file says, and copies the administrator's folder out.
    ///
    /// # Errors
    /// What docker said.
    pub fn up(&self, environment: &[(String, String)], admin: &Path) -> Result<()> {
        std::fs::write(self.added(), added(&self.api, environment))?;
        self.compose(&[&["up", "-d"], SERVICES].concat())?;
        for index in 0..MASTERS {
            self.masters[index].lock().id = self.find(&name(index))?;
        }
        std::fs::create_dir_all(admin)?;
        let certs = self.find("certs")?;
        self.docker(&["cp", &format!("{certs}:/volumes/admin/."), &admin.display().to_string()])?;
        Ok(())
    }

    fn added(&self) -> std::path::PathBuf {
        self.folder.path().join("added.yml")
    }

    /// Runs compose on the project.
    fn compose(&self, arguments: &[&str]) -> Result<String> {
        let mut words = self.compose.split(' ');
        let mut command = self.engine.command(words.next().unwrap_or_default());
        command.args(words).arg("--file").arg(root().join("docker-compose.yml")).arg("--file").arg(self.added());
        command.args(["--project-name", &self.project]).args(arguments);
        command.env("TRIREME_IMAGE", &self.image).env("TRIREME_NET", self.net.to_string());
        command.env("TRIREME_PORT", self.front.to_string());
        blocking(|| said(run(&mut command)))
    }

    /// Runs docker; what it printed, without spaces around it.
    fn docker(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.engine.command("docker");
        command.args(arguments);
        blocking(|| said(run(&mut command))).map(|printed| printed.trim().to_owned())
    }

    /// The id of a service's container, whether it runs or not.
    fn find(&self, service: &str) -> Result<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let label = format!("label=com.docker.compose.service={service}");
        let id = self.docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &project, "--filter", &label])?;
        ensure!(!id.is_empty() && !id.contains('\n'), "{service} has one container, not {id:?}");
        Ok(id)
    }

    fn id(&self, index: usize) -> String {
        self.masters[index].lock().id.clone()
    }

    /// Starts a master's container; one that runs goes on.
    ///
    /// # Errors
    /// What docker said.
    pub fn start(&self, index: usize) -> Result<()> {
        self.docker(&["start", &self.id(index)])?;
        Ok(())
    }

    /// SIGKILL, and docker does not start it again by itself.
    ///
    /// # Errors
    /// What docker said.
    pub fn kill(&self, index: usize) -> Result<()> {
        let id = self.id(index);
        // Nothing is to be done where it does not run.
        if self.docker(&["inspect", "--format", "{{.State.Running}}", &id])? == "true" {
            self.docker(&["kill", &id])?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not end by itself within `limit`.
    pub fn stop(&self, index: usize, limit: Duration) -> Result<()> {
        let id = self.id(index);
        self.docker(&["stop", "--time", &limit.as_secs().to_string(), &id])?;
        let code = self.docker(&["inspect", "--format", "{{.State.ExitCode}}", &id])?;
        ensure!(code != "137", "it did not end within {limit:?} of SIGTERM");
        Ok(())
    }

    /// Freezes its processes, or lets them go on.
    ///
    /// # Errors
    /// What docker said.
    pub fn pause(&self, index: usize, paused: bool) -> Result<()> {
        self.docker(&[if paused { "pause" } else { "unpause" }, &self.id(index)]).map(drop)
    }

    /// How a master ended that docker had to start again since the last look, if it did.
    pub fn died(&self, index: usize) -> Option<String> {
        let mut master = self.masters[index].lock();
        if master.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return None;
        }
        master.looked = Some(Instant::now());
        let format = "{{.RestartCount}}";
        let restarts: u64 = self.docker(&["inspect", "--format", format, &master.id]).ok()?.parse().ok()?;
        let before = std::mem::replace(&mut master.restarts, restarts);
        (restarts > before).then(|| format!("docker started it again, for the {restarts}. time"))
    }

    /// The end of a master's log.
    pub fn last_words(&self, index: usize) -> String {
        let mut command = self.engine.command("docker");
        let output = command.args(["logs", "--tail", "12", &self.id(index)]).output();
        output
            .map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
            .unwrap_or_default()
    }

    /// A new container with a new volume for a master that does not run. It is not started.
    ///
    /// # Errors
    /// What docker said.
    pub fn wipe(&self, index: usize) -> Result<()> {
        let mut master = self.masters[index].lock();
        self.docker(&["rm", "--force", &master.id])?;
        self.docker(&["volume", "rm", &format!("{}_{}-data", self.project, name(index))])?;
        self.compose(&["up", "--no-start", "--no-deps", &name(index)])?;
        *master = Master { id: self.find(&name(index))?, ..Master::default() };
        Ok(())
    }

    /// Takes a master off the network, or puts it there again under its address.
    ///
    /// # Errors
    /// What docker said.
    pub fn unplug(&self, index: usize, unplugged: bool) -> Result<()> {
        // Held, so that no other fault replaces the container meanwhile.
        let master = self.masters[index].lock();
        let network = format!("{}_trireme", self.project);
        let listed = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
        let networks = self.docker(&["inspect", "--format", listed, &master.id])?;
        // A container that was replaced meanwhile is on the network already.
        if networks.split(' ').any(|name| name == network) != unplugged {
            return Ok(());
        }
        if unplugged {
            self.docker(&["network", "disconnect", &network, &master.id])?;
        } else {
            let address = format!("10.231.{}.{}", self.net, 11 + index);
            self.docker(&["network", "connect", "--ip", &address, "--alias", &name(index), &network, &master.id])?;
        }
        Ok(())
    }
}

/// What a round adds to the file: a published port for each master, and more in its environment.
fn added(ports: &[u16], environment: &[(String, String)]) -> String {
    let mut yaml = "services:\n".to_owned();
    for (index, port) in ports.iter().enumerate() {
        yaml.push_str(&format!("  {}:\n    ports: [\"127.0.0.1:{port}:6443\"]\n", name(index)));
        if !environment.is_empty() {
            yaml.push_str("    environment:\n");
        }
        for (variable, value) in environment {
            yaml.push_str(&format!("      {variable}: {value:?}\n"));
        }
    }
    yaml
}

fn said<T>(outcome: Result<T, String>) -> Result<T> {
    outcome.map_err(|said| anyhow!(said))
}

/// Lets a command take its time without keeping this thread's clients waiting.
fn blocking<T>(command: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::task::block_in_place(command),
        Err(_) => command(),
    }
}

impl Site for Compose {
    fn api(&self, index: usize) -> SocketAddr {
        ([127, 0, 0, 1], self.api[index]).into()
    }

    /// As the other masters reach it.
    fn peer(&self, index: usize) -> SocketAddr {
        let last = u8::try_from(11 + index).expect("a handful of masters");
        ([10, 231, u8::try_from(self.net).expect("below 200"), last], 2380).into()
    }

    /// Nobody listens there: the file has no etcd face.
    fn etcd(&self, index: usize) -> SocketAddr {
        (self.peer(index).ip(), 2379).into()
    }

    fn spawn(&self, _index: Option<usize>, _command: &mut Command) -> io::Result<Child> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "masters are containers here"))
    }

    fn containers(&self) -> Option<&Compose> {
        Some(self)
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // Nobody could do anything about what fails here; an engine of ours takes all with it.
        let _ = self.compose(&["down", "--volumes", "--timeout", "5"]);
        let _ = self.docker(&["rmi", &self.image]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_master_gets_a_port_and_its_environment() {
        let environment = [("TRIREME_KEEP_LOG_BYTES".to_owned(), "100000".to_owned())];
        let m1 =
            "  m1:\n    ports: [\"127.0.0.1:7001:6443\"]\n    environment:\n      TRIREME_KEEP_LOG_BYTES: \"100000\"\n";
        let m2 = m1.replace("m1", "m2").replace("7001", "7002");
        assert_eq!(added(&[7001, 7002], &environment), format!("services:\n{m1}{m2}"));
    }
}
