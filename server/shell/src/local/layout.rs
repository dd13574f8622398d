//! Where everything of a local cluster lies: folders, ports, command lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use raft_state::port::{Kind, Member};
use serde::{Deserialize, Serialize};

use super::process::Process;

/// What a person chooses about a cluster; kept in `cluster.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Names this cluster on every peer message; drawn at random once.
    pub cluster_id: String,
    /// First masters: 1, 3 or 5.
    pub masters: usize,
    /// Simulated nodes.
    pub nodes: usize,
    /// The front door's port.
    pub base_port: u16,
    /// Whether the masters serve the store alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_only: Option<StoreOnly>,
    /// Masters that joined later, or again, by index from 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub joined: BTreeMap<usize, Joined>,
    /// Masters that were removed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<usize>,
}

/// How a store alone is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StoreOnly {
    /// In plain text, as etcd's default is.
    Http,
    /// With client certificates.
    Https,
}

/// How a master joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// As a read replica.
    pub replica: bool,
    /// API addresses of the masters that it asked.
    pub through: Vec<SocketAddr>,
}

/// A cluster's folder and shape.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// The shape.
    pub shape: Shape,
}

/// The ports of one master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Kubernetes API and gRPC.
    pub api: u16,
    /// etcd v3.
    pub etcd: u16,
    /// Raft.
    pub peer: u16,
}

const DEFAULT_BASE_PORT: u16 = 6440;

impl Shape {
    /// The ports of master `index`, counted from 0. The default base port gives the ports that etcd's and Kubernetes'
    /// users expect; other base ports keep a cluster within 40 ports.
    pub fn ports(&self, index: usize) -> Ports {
        let i = u16::try_from(index).expect("a handful of masters");
        let base = self.base_port;
        let (etcd, peer) = match (base, i) {
            (DEFAULT_BASE_PORT, 0) => (2379, 2380),
            (DEFAULT_BASE_PORT, _) => (21_379 + 1000 * i, 21_380 + 1000 * i),
            _ => (base + 20 + i, base + 30 + i),
        };
        Ports { api: base + 3 + i, etcd, peer }
    }

    /// Which masters there are, by index from 0.
    pub fn masters_now(&self) -> Vec<usize> {
        let all: BTreeSet<usize> = (0..self.masters).chain(self.joined.keys().copied()).collect();
        all.difference(&self.removed).copied().collect()
    }

    /// The index of the next master that there has not been.
    pub fn next_master(&self) -> usize {
        let joined = self.joined.keys().next_back().map_or(0, |last| last + 1);
        joined.max(self.masters)
    }

    /// `m1`, `m2` …
    pub fn master_names(&self) -> Vec<String> {
        self.masters_now().into_iter().map(name_of).collect()
    }

    /// Those whose certificates are issued here; who joins brings keys of its own.
    pub fn first_master_names(&self) -> Vec<String> {
        self.masters_now().into_iter().filter(|i| !self.joined.contains_key(i)).map(name_of).collect()
    }

    /// `node-1`, `node-2` …
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(|i| format!("node-{i}")).collect()
    }
}

/// What the master of an index is called.
pub fn name_of(index: usize) -> String {
    format!("m{}", index + 1)
}

/// The index of a master's name.
pub fn index_of(name: &str) -> Option<usize> {
    name.strip_prefix('m')?.parse::<usize>().ok()?.checked_sub(1)
}

/// A port on loopback.
pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Layout {
    /// The cluster of a folder.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("cluster.json");
        if !path.exists() {
            bail!("no cluster in {} (./x up makes one)", dir.display());
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let shape = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Self { dir: fs::canonicalize(dir)?, shape })
    }

    /// The cluster of a folder, or a new one. A wish that contradicts what the folder holds is refused.
    pub fn open_or_create(
        dir: &Path,
        masters: Option<usize>,
        nodes: Option<usize>,
        base_port: Option<u16>,
        store_only: Option<StoreOnly>,
    ) -> Result<Self> {
        if dir.join("cluster.json").exists() {
            let mut layout = Self::open(dir)?;
            let shape = &mut layout.shape;
            let now = shape.masters_now().len();
            if base_port.is_some_and(|p| p != shape.base_port) {
                bail!(
                    "{} holds a cluster of {now} masters at base port {}; ./x reset forgets it, --dir makes another",
                    dir.display(),
                    shape.base_port
                );
            }
            if store_only.is_some_and(|wish| shape.store_only != Some(wish)) {
                bail!("{} holds another kind of cluster; ./x reset forgets it, --dir makes another", dir.display());
            }
            if masters.is_some_and(|wanted| wanted < now) {
                bail!(
                    "{} holds a cluster of {now} masters: ./x remove {} takes one away",
                    dir.display(),
                    shape.master_names().last().map_or("", String::as_str)
                );
            }
            if let Some(nodes) = nodes.filter(|n| *n != shape.nodes) {
                shape.nodes = nodes;
                layout.save()?;
            }
            return Ok(layout);
        }
        let masters = masters.unwrap_or(3);
        if ![1, 3, 5, 7].contains(&masters) {
            bail!("--masters {masters}: a cluster has an odd number of masters, 1, 3 or 5");
        }
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let shape = Shape {
            cluster_id: uuid::Uuid::new_v4().to_string(),
            masters,
            nodes: if store_only.is_some() { 0 } else { nodes.unwrap_or(5) },
            base_port: base_port.unwrap_or(DEFAULT_BASE_PORT),
            store_only,
            joined: BTreeMap::new(),
            removed: BTreeSet::new(),
        };
        let layout = Self { dir: fs::canonicalize(dir)?, shape };
        layout.save()?;
        Ok(layout)
    }

    /// Writes the shape down.
    pub fn save(&self) -> Result<()> {
        let path = self.dir.join("cluster.json");
        let partial = path.with_extension("partial");
        fs::write(&partial, format!("{}\n", serde_json::to_string_pretty(&self.shape)?))
            .with_context(|| format!("writing {}", partial.display()))?;
        fs::rename(&partial, &path).with_context(|| format!("writing {}", path.display()))
    }

    /// The front door's address.
    pub fn front(&self) -> SocketAddr {
        loopback(self.shape.base_port)
    }

    /// The API address of master `index`, counted from 0.
    pub fn api(&self, index: usize) -> SocketAddr {
        loopback(self.shape.ports(index).api)
    }

    /// Where clients of etcd's API reach master `index`, counted from 0.
    pub fn etcd_url(&self, index: usize) -> String {
        let scheme = if self.shape.store_only == Some(StoreOnly::Http) { "http" } else { "https" };
        format!("{scheme}://{}", loopback(self.shape.ports(index).etcd))
    }

    /// Where an administrator's kubeconfig lies.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The cluster's CA certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// Whether a process is a master.
    pub fn is_master(&self, name: &str) -> bool {
        self.shape.master_names().iter().any(|n| n == name)
    }

    /// All processes: the masters, the front door, the nodes.
    pub fn processes(&self) -> Vec<Process> {
        let mut all: Vec<Process> = self.shape.masters_now().into_iter().map(|i| self.master(i)).collect();
        if self.shape.store_only.is_none() {
            all.push(self.front_door());
        }
        if self.shape.nodes > 0 {
            all.push(self.nodes());
        }
        all
    }

    /// One process by name.
    pub fn process(&self, name: &str) -> Result<Process> {
        let all = self.processes();
        let names: Vec<String> = all.iter().map(|p| p.name.clone()).collect();
        all.into_iter()
            .find(|p| p.name == name)
            .with_context(|| format!("no process is called {name}: there are {}", names.join(", ")))
    }

    /// The masters, as they know each other.
    pub fn members(&self) -> Vec<Member> {
        let member = |index: usize| {
            let ports = self.shape.ports(index);
            Member {
                id: index as u64 + 1,
                name: name_of(index),
                peer_address: loopback(ports.peer).to_string(),
                api_address: loopback(ports.api).to_string(),
                etcd_url: self.etcd_url(index),
                voter: true,
                kind: Kind::Master,
            }
        };
        self.shape.masters_now().into_iter().map(member).collect()
    }

    /// Where master `name` keeps its data.
    pub fn data(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("data")
    }

    /// Where the keys of Secrets are, from which every master gets its copy.
    pub fn secrets_key(&self) -> PathBuf {
        self.dir.join("pki/secrets.key")
    }

    fn folder(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// The process of a master.
    pub fn master(&self, index: usize) -> Process {
        let name = name_of(index);
        let ports = self.shape.ports(index);
        let mut args = vec![
            "server".to_owned(),
            format!("--name={name}"),
            format!("--data-dir={}/data", self.folder(&name)),
            format!("--tls-dir={}/tls", self.folder(&name)),
            format!("--api-listen={}", loopback(ports.api)),
            format!("--peer-listen={}", loopback(ports.peer)),
            format!("--etcd-listen={}", self.etcd_url(index)),
        ];
        if self.shape.store_only.is_some() {
            args.push("--store-only".to_owned());
        }
        if let Some(joined) = self.shape.joined.get(&index) {
            args.extend(joined.through.iter().map(|master| format!("--join={master}")));
            args.extend(joined.replica.then(|| "--replica".to_owned()));
        } else {
            args.push(format!("--cluster-id={}", self.shape.cluster_id));
            for i in 0..self.shape.masters {
                let (id, peer, ports, etcd) = (i + 1, name_of(i), self.shape.ports(i), self.etcd_url(i));
                args.push(format!("--member={id}={peer},{},{},{etcd}", loopback(ports.peer), loopback(ports.api)));
            }
        }
        let ports = vec![("API", ports.api), ("peer", ports.peer), ("etcd", ports.etcd)];
        Process { folder: self.dir.join(&name), name, args, ports }
    }

    fn front_door(&self) -> Process {
        let mut args = vec![
            "front-door".to_owned(),
            format!("--listen={}", self.front()),
            format!("--ca={}", self.ca().display()),
            format!("--metrics-listen={}", loopback(self.shape.base_port + 1)),
            format!("--metrics-pair={}/tls/metrics", self.folder("front")),
        ];
        args.extend((0..self.shape.masters).map(|i| format!("--backend={}", self.api(i))));
        Process {
            name: "front".to_owned(),
            folder: self.dir.join("front"),
            args,
            ports: vec![("front door", self.shape.base_port), ("front door's metrics", self.shape.base_port + 1)],
        }
    }

    fn nodes(&self) -> Process {
        let mut args = vec![
            "agent".to_owned(),
            "--simulated".to_owned(),
            format!("--ca={}", self.ca().display()),
            format!("--tls-dir={}/tls", self.folder("nodes")),
            format!("--metrics-listen={}", loopback(self.shape.base_port + 2)),
            format!("--metrics-pair={}/tls/metrics", self.folder("nodes")),
        ];
        args.extend((0..self.shape.masters).map(|i| format!("--api={}", self.api(i))));
        args.extend(self.shape.node_names().iter().map(|n| format!("--node={n}")));
        Process { name: "nodes".to_owned(), folder: self.dir.join("nodes"), args, ports: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(base_port: u16) -> Shape {
        Shape {
            cluster_id: "c".to_owned(),
            masters: 3,
            nodes: 5,
            base_port,
            store_only: None,
            joined: BTreeMap::new(),
            removed: BTreeSet::new(),
        }
    }

    #[test]
    fn the_default_ports_are_those_that_the_readme_promises() {
        let ports: Vec<(u16, u16, u16)> =
            (0..3).map(|i| shape(6440).ports(i)).map(|p| (p.api, p.etcd, p.peer)).collect();
        assert_eq!(ports, vec![(6443, 2379, 2380), (6444, 22379, 22380), (6445, 23379, 23380)]);
    }

    #[test]
    fn a_folder_remembers_its_cluster_and_refuses_another_shape() {
        let folder = tempfile::tempdir().unwrap();
        let made = Layout::open_or_create(folder.path(), Some(1), Some(2), Some(7000), None).unwrap();
        assert_eq!(Layout::open(folder.path()).unwrap().shape, made.shape);
        let error = Layout::open_or_create(folder.path(), None, None, Some(8000), None).unwrap_err().to_string();
        assert!(error.contains("holds a cluster of 1 masters at base port 7000"), "{error}");
        let grown = Layout::open_or_create(folder.path(), None, Some(4), None, None).unwrap();
        assert_eq!((grown.shape.nodes, grown.shape.cluster_id), (4, made.shape.cluster_id));
    }

    #[test]
    fn masters_come_and_go_under_names_of_their_own() {
        let mut shape = shape(7000);
        let joined = Joined { replica: false, through: Vec::new() };
        assert_eq!(shape.next_master(), 3);
        shape.joined.insert(3, joined.clone());
        shape.removed.insert(1);
        assert_eq!(shape.master_names(), ["m1", "m3", "m4"]);
        shape.removed.insert(3);
        assert_eq!((shape.next_master(), shape.master_names().len()), (4, 2));
        assert_eq!(
            (index_of("m1"), index_of("m12"), index_of("m0"), index_of("front")),
            (Some(0), Some(11), None, None)
        );
    }

    #[test]
    fn an_even_number_of_masters_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Layout::open_or_create(folder.path(), Some(2), None, None, None).is_err());
    }
}
