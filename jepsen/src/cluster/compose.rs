//! The compose cluster as a place for masters: the containers of `docker-compose.yml`, each master with ports of its own
//! published on loopback, under the machine's docker engine or one that is started for the round.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use parking_lot::Mutex;
use tempfile::TempDir;
use tests_e2e::build::Build;
use tests_e2e::docker::{Engine, run};
use tests_e2e::pages::root;

use super::{Site, name};

/// As many masters as the file has, with its profile.
const MASTERS: usize = 5;
/// What of the file is brought up beside masters. Certificates live longer than a round: nobody has to renew them.
const OTHERS: &[&str] = &["certs", "front", "w1", "w2"];
/// Docker is asked no more often whether a master has ended: each question is a process.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Where masters listen in their containers.
const API_PORT: u16 = 6443;
const ETCD_PORT: u16 = 2379;

/// A project of compose; taken down with its volumes, and its images removed, when dropped.
pub struct Compose {
    project: String,
    /// `docker compose` or `docker-compose`.
    compose: &'static str,
    /// By the binary in them: of the present build, and of the one before where that is another.
    images: Vec<(PathBuf, String)>,
    /// The third number of the network's addresses.
    net: u32,
    /// The ports of the masters, and of the one that there is room for.
    ports: Vec<Ports>,
    front: u16,
    /// Holds what is added to the file.
    folder: TempDir,
    /// For every container: what a round wants of it.
    added: Mutex<Added>,
    /// One for each of the ports.
    masters: Vec<Mutex<Master>>,
    /// How many there are from the beginning.
    first: usize,
    // Last: it outlives what runs in it.
    engine: Engine,
}

/// The ports of a master that are published.
#[derive(Clone, Copy)]
struct Ports {
    api: u16,
    etcd: u16,
}

/// What a round adds to the file.
#[derive(Default)]
struct Added {
    /// In the environment of every master.
    environment: Vec<(String, String)>,
    /// The build of each, where it is not the present one.
    builds: Vec<Option<Other>>,
}

/// Another build than the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Other {
    image: String,
    environment: Vec<(&'static str, &'static str)>,
}

/// What is known of a master's container.
#[derive(Default)]
struct Master {
    /// Empty while there is none.
    id: String,
    /// How often docker had started it again when it was looked at last.
    restarts: u64,
    looked: Option<Instant>,
}

impl Compose {
    /// Finds or starts an engine and builds the image of the binary under test, and of the one before, for so many masters.
    ///
    /// # Errors
    /// What this machine lacks.
    pub fn new(masters: usize) -> Result<Self> {
        let engine = Engine::find().map_err(|why| anyhow!("no docker engine: {why}"))?;
        let compose =
            *engine.composes().first().context("neither `docker compose` nor `docker-compose` is installed")?;
        let number = std::process::id();
        let mut images: Vec<(PathBuf, String)> = Vec::new();
        for (build, tag) in [(Build::present(), "present"), (Build::previous(), "previous")] {
            if images.iter().all(|(binary, _)| *binary != build.binary) {
                let image = format!("trireme-chaos-{number}:{tag}");
                said(engine.build(&image, &build.binary)).with_context(|| format!("building the image {image}"))?;
                images.push((build.binary, image));
            }
        }
        // All are held until the last is found, so that none is given twice.
        let count = MASTERS.min(masters + 1);
        let sockets: Vec<TcpListener> =
            (0..=2 * count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
        let found: Vec<u16> = sockets.iter().map(|s| Ok(s.local_addr()?.port())).collect::<io::Result<_>>()?;
        Ok(Self {
            project: format!("trireme-chaos-{number}"),
            compose,
            images,
            net: 100 + number % 100,
            ports: found[1..].chunks(2).map(|pair| Ports { api: pair[0], etcd: pair[1] }).collect(),
            front: found[0],
            folder: tempfile::tempdir()?,
            added: Mutex::new(Added { environment: Vec::new(), builds: vec![None; count] }),
            masters: (0..count).map(|_| Mutex::default()).collect(),
            first: masters,
            engine,
        })
    }

    /// Brings all up, with more in the masters' environment than the file says, and copies the administrator's folder out.
    ///
    /// # Errors
    /// What docker said.
    pub fn up(&self, environment: &[(String, String)], etcd: bool, admin: &Path) -> Result<()> {
        self.added.lock().environment = environment.to_vec();
        if etcd {
            let listen = format!("https://0.0.0.0:{ETCD_PORT}");
            self.added.lock().environment.push(("TRIREME_ETCD_LISTEN".to_owned(), listen));
        }
        self.add()?;
        let masters: Vec<String> = (0..self.first).map(name).collect();
        let services: Vec<&str> = masters.iter().map(String::as_str).chain(OTHERS.iter().copied()).collect();
        self.compose(&[&["up", "-d"], &*services].concat())?;
        for (index, master) in masters.iter().enumerate() {
            self.masters[index].lock().id = self.find(master)?;
        }
        std::fs::create_dir_all(admin)?;
        let certs = self.find("certs")?;
        self.docker(&["cp", &format!("{certs}:/volumes/admin/."), &admin.display().to_string()])?;
        Ok(())
    }

    /// Writes what is added to the file.
    fn add(&self) -> Result<()> {
        Ok(std::fs::write(self.file(), added(&self.ports, &self.added.lock()))?)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("added.yml")
    }

    /// Runs compose on the project.
    fn compose(&self, arguments: &[&str]) -> Result<String> {
        let mut words = self.compose.split(' ');
        let mut command = self.engine.command(words.next().unwrap_or_default());
        command.args(words).arg("--file").arg(root().join("docker-compose.yml")).arg("--file").arg(self.file());
        command.args(["--project-name", &self.project]).args(arguments);
        command.env("TRIREME_IMAGE", &self.images[0].1).env("TRIREME_NET", self.net.to_string());
        command.env("TRIREME_PORT", self.front.to_string()).env("COMPOSE_PROFILES", "five");
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

    /// Starts a master's container; one that runs goes on. One of another build makes room for one of this build first.
    ///
    /// # Errors
    /// What docker said.
    pub fn start(&self, index: usize, build: &Build) -> Result<()> {
        let image = self.images.iter().find(|(binary, _)| *binary == build.binary);
        let (_, image) = image.with_context(|| format!("there is no image of {}", build.binary.display()))?;
        let other = Other { image: image.clone(), environment: build.variables.clone() };
        let other = (*build != Build::present()).then_some(other);
        let changes = std::mem::replace(&mut self.added.lock().builds[index], other.clone()) != other;
        if changes {
            let mut master = self.masters[index].lock();
            self.add()?;
            self.docker(&["rm", "--force", &master.id])?;
            self.create(index, &mut master)?;
        }
        self.docker(&["start", &self.id(index)])?;
        Ok(())
    }

    /// A new container for a master that has none, on the volume that is there. It is not started.
    fn create(&self, index: usize, master: &mut Master) -> Result<()> {
        self.compose(&["up", "--no-start", "--no-deps", &name(index)])?;
        *master = Master { id: self.find(&name(index))?, ..Master::default() };
        Ok(())
    }

    /// Starts the master that there is room for, with nothing on its disk: it asks the others to take it in.
    ///
    /// # Errors
    /// What docker said.
    pub fn join(&self, index: usize) -> Result<()> {
        self.forsake(index)?;
        self.create(index, &mut self.masters[index].lock())?;
        self.docker(&["start", &self.id(index)])?;
        Ok(())
    }

    /// Whether a master has ended by itself since it was started; docker starts it again, for it knows no better.
    ///
    /// # Errors
    /// What docker said.
    pub fn has_ended(&self, index: usize) -> Result<bool> {
        let said = self.docker(&["inspect", "--format", "{{.State.Running}} {{.RestartCount}}", &self.id(index)])?;
        Ok(said != "true 0")
    }

    /// SIGKILL, and docker does not start it again by itself.
    ///
    /// # Errors
    /// What docker said.
    pub fn kill(&self, index: usize) -> Result<()> {
        let id = self.id(index);
        if id.is_empty() {
            return Ok(());
        }
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
        self.forsake(index)?;
        self.create(index, &mut self.masters[index].lock())
    }

    /// Removes a master's container and volume, where there are any.
    fn forsake(&self, index: usize) -> Result<()> {
        let mut master = self.masters[index].lock();
        if !master.id.is_empty() {
            self.docker(&["rm", "--force", &master.id])?;
            self.docker(&["volume", "rm", &format!("{}_{}-data", self.project, name(index))])?;
            *master = Master::default();
        }
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

/// The file beside `docker-compose.yml`: published ports for each master, more in its environment, and its image, where it is
/// not that of the present build.
fn added(ports: &[Ports], added: &Added) -> String {
    let mut yaml = "services:\n".to_owned();
    for (index, (ports, build)) in ports.iter().zip(&added.builds).enumerate() {
        let Ports { api, etcd } = ports;
        yaml.push_str(&format!("  {}:\n", name(index)));
        yaml.push_str(&format!("    ports: [\"127.0.0.1:{api}:{API_PORT}\", \"127.0.0.1:{etcd}:{ETCD_PORT}\"]\n"));
        let common = added.environment.iter().map(|(variable, value)| (variable.as_str(), value.as_str()));
        let own = build.iter().flat_map(|build| build.environment.iter().copied());
        let environment: Vec<(&str, &str)> = common.chain(own).collect();
        if !environment.is_empty() {
            yaml.push_str("    environment:\n");
        }
        for (variable, value) in environment {
            yaml.push_str(&format!("      {variable}: {value:?}\n"));
        }
        if let Some(Other { image, .. }) = build {
            yaml.push_str(&format!("    image: {image:?}\n"));
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
        ([127, 0, 0, 1], self.ports[index].api).into()
    }

    /// As the other masters reach it.
    fn peer(&self, index: usize) -> SocketAddr {
        let last = u8::try_from(11 + index).expect("a handful of masters");
        ([10, 231, u8::try_from(self.net).expect("below 200"), last], 2380).into()
    }

    fn etcd(&self, index: usize) -> SocketAddr {
        ([127, 0, 0, 1], self.ports[index].etcd).into()
    }

    fn spawn(&self, _index: Option<usize>, _command: &mut Command) -> io::Result<Child> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "masters are containers here"))
    }

    fn containers(&self) -> Option<&Compose> {
        Some(self)
    }

    fn has_room(&self) -> bool {
        self.ports.len() > self.first
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // Nobody could do anything about what fails here; an engine of ours takes all with it.
        let _ = self.compose(&["down", "--volumes", "--timeout", "5"]);
        for (_, image) in &self.images {
            let _ = self.docker(&["rmi", image]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_master_gets_ports_its_environment_and_its_build() {
        let environment = vec![("TRIREME_KEEP_LOG_BYTES".to_owned(), "100000".to_owned())];
        let before = Some(Other { image: "trireme:before".to_owned(), environment: vec![("TRIREME_LEVEL", "1")] });
        let ports = [Ports { api: 7001, etcd: 8001 }, Ports { api: 7002, etcd: 8002 }];
        let m1 = "  m1:\n    ports: [\"127.0.0.1:7001:6443\", \"127.0.0.1:8001:2379\"]\n    environment:\n      \
                  TRIREME_KEEP_LOG_BYTES: \"100000\"\n";
        let m2 = m1.replace("m1", "m2").replace("7001", "7002").replace("8001", "8002");
        let yaml = added(&ports, &Added { environment, builds: vec![None, before] });
        let build = "      TRIREME_LEVEL: \"1\"\n    image: \"trireme:before\"\n";
        assert_eq!(yaml, format!("services:\n{m1}{m2}{build}"));
    }
}
