//! One master: the store, the API, and when it leads, the manager.

mod faces;
mod work;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use axum::middleware::from_fn_with_state;
use raft_node::{Autopilot, Compaction, Identity, LEVEL, Limits, Node, NodeConfig, PeerTls, Scrub, Timing};
use raft_state::port::{Kind, Member, Standing, Store};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::credentials::{Credentials, Files};
use crate::keyring::Keyring;
use crate::mistakes::Mistakes;
use crate::observe::{self, Observed};
use crate::pki::Authority;
use crate::{backups, etcd, join, notify, rotation, serve, stop, tls, traces};

/// `trireme server`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the configuration lies.
    #[command(flatten)]
    _config: crate::config::Args,
    /// This master's name.
    #[arg(long, env = "TRIREME_NAME")]
    name: String,
    /// Names the cluster; the same on all first masters.
    #[arg(long, env = "TRIREME_CLUSTER_ID", required_unless_present = "join")]
    cluster_id: Option<String>,
    /// Log, state and snapshots.
    #[arg(long, env = "TRIREME_DATA_DIR")]
    data_dir: PathBuf,
    /// Holds ca.crt, apiserver.crt/.key, peer.crt/.key and secrets.key, and ca.key where this master is to take others in.
    #[arg(long, env = "TRIREME_TLS_DIR")]
    tls_dir: PathBuf,
    /// Address of the API.
    #[arg(long, default_value = "127.0.0.1:6443", env = "TRIREME_API_LISTEN")]
    api_listen: SocketAddr,
    /// Address for the other masters.
    #[arg(long, default_value = "127.0.0.1:2380", env = "TRIREME_PEER_LISTEN")]
    peer_listen: SocketAddr,
    /// Where clients of etcd's API connect to: `https://<address>:<port>`, with a client certificate in system:masters; a
    /// store alone may also listen in plain text, `http://<address>:<port>`.
    #[arg(long, env = "TRIREME_ETCD_LISTEN")]
    etcd_listen: Option<String>,
    /// Serve the store alone: etcd's API over an empty keyspace, without Kubernetes' API and its controllers.
    #[arg(long, env = "TRIREME_STORE_ONLY", requires = "etcd_listen")]
    store_only: bool,
    /// Bytes of log beyond the latest snapshot that make the next one.
    #[arg(long, default_value_t = Limits::default().snapshot_log_bytes, env = "TRIREME_SNAPSHOT_LOG_BYTES")]
    snapshot_log_bytes: u64,
    /// Bytes of room on the disk of --data-dir below which writes are refused.
    #[arg(long, default_value_t = Limits::default().reserve_bytes, env = "TRIREME_DISK_RESERVE")]
    disk_reserve: u64,
    /// Bytes of log kept below the latest snapshot, for members that lag a little; others get the snapshot.
    #[arg(long, default_value_t = Limits::default().keep_log_bytes, env = "TRIREME_KEEP_LOG_BYTES")]
    keep_log_bytes: u64,
    /// Seconds between two passes of the scrub, which reads and checks what lies in --data-dir; 0 turns it off.
    #[arg(long, default_value_t = Scrub::default().every.as_secs(), env = "TRIREME_SCRUB_EVERY")]
    scrub_every: u64,
    /// Bytes a second that the scrub reads; 0 turns it off.
    #[arg(long, default_value_t = Scrub::default().bytes_per_second, env = "TRIREME_SCRUB_RATE")]
    scrub_rate: u64,
    /// A first member, `<id>=<name>,<peer address>,<api address>[,<etcd url>]`; once for each, the same on all.
    #[arg(long = "member", required_unless_present = "join", env = "TRIREME_MEMBERS", value_delimiter = ';')]
    members: Vec<FirstMember>,
    /// API address of a master of the cluster to join; once for each that is known. Once joined, it is not asked again.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "members")]
    join: Vec<String>,
    /// What `trireme cluster add` printed; needed unless --tls-dir holds a master's certificate.
    #[arg(long, env = "TRIREME_TOKEN", hide_env_values = true)]
    token: Option<join::Token>,
    /// Join as a read replica: serve everything, never vote.
    #[arg(long, requires = "join")]
    replica: bool,
    /// host:port by which clients reach the API, when it is not --api-listen.
    #[arg(long, value_name = "HOST:PORT")]
    advertise_api: Option<String>,
    /// host:port by which the other masters reach this one, when it is not --peer-listen.
    #[arg(long, value_name = "HOST:PORT")]
    advertise_peer: Option<String>,
    /// Work as a build of this level does: to be set on one master before masters are replaced by an older build.
    #[arg(long, env = "TRIREME_LEVEL", default_value_t = LEVEL,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(LEVEL)))]
    level: u32,
    #[command(flatten)]
    backups: backups::Args,
    #[command(flatten)]
    traces: traces::Args,
}

/// A member as the command line gives it.
#[derive(Clone, Debug)]
pub struct FirstMember(pub Member);

impl FromStr for FirstMember {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (id, rest) = text.split_once('=')?;
            let mut parts = rest.split(',');
            let member = Member {
                id: id.parse().ok()?,
                name: parts.next()?.to_owned(),
                peer_address: parts.next()?.to_owned(),
                api_address: parts.next()?.to_owned(),
                etcd_url: parts.next().unwrap_or_default().to_owned(),
                voter: true,
                kind: Kind::Master,
            };
            parts.next().is_none().then_some(member)
        };
        parse().map(Self).ok_or_else(|| anyhow!("expected <id>=<name>,<peer address>,<api address>[,<etcd url>]"))
    }
}

/// Everything that a master is started with, wherever it came from.
pub struct Options {
    /// The store's part.
    pub node: NodeConfig,
    /// Seals and opens Secrets.
    pub keyring: Arc<Keyring>,
    /// The key of the cluster's authority, when this master may take others in.
    pub authority: Option<Authority>,
    /// What it shows on its ports.
    pub credentials: Credentials,
    /// Where new ones for the peer port go.
    pub peer_tls: watch::Sender<PeerTls>,
    /// Where that lies, so that it can be replaced.
    pub files: Files,
    /// The API's listener, bound already so that a taken port is known before the store opens.
    pub api_listener: TcpListener,
    /// The port of etcd's API, when it is to be served.
    pub etcd: Option<etcd::Port>,
    /// What is served beside it.
    pub serves: Serves,
    /// Backups to be made while it leads, and where they lie, for people.
    pub backups: Option<(backups::Plan, String)>,
    /// Which requests are traced, when any are.
    pub tracing: Option<traces::Tracing>,
}

/// What a master serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Kubernetes: API, controllers, scheduler.
    Kubernetes,
    /// The store alone.
    Store,
}

/// Runs a master as a process.
pub async fn run(args: Args) -> Result<()> {
    let mut mistakes = Mistakes::default();
    mistakes.take(check_members(&args.members));
    if args.api_listen == args.peer_listen {
        mistakes.note(format!("--api-listen and --peer-listen are both {}", args.api_listen));
    }
    let place = match args.join.is_empty() {
        true => mistakes.take(Place::among_first(&args)),
        // Whoever joins gets its certificates on the way, and asks for them only when all else is in order.
        false => {
            std::mem::take(&mut mistakes).end()?;
            Some(Place::by_joining(&args).await?)
        }
    };
    let files = Files::in_folder(&args.tls_dir);
    let credentials = mistakes.take(files.read());
    let authority = mistakes.take(Authority::open(&files.ca, &args.tls_dir.join("ca.key")));
    let keyring = mistakes.take(Keyring::open(&args.tls_dir.join("secrets.key")));
    let backups = mistakes.take(args.backups.plan()).flatten();
    let tracing = mistakes.take(args.traces.begin(&args.name)).flatten();
    mistakes.end()?;
    let (Some(place), Some(credentials), Some(authority), Some(keyring)) = (place, credentials, authority, keyring)
    else {
        unreachable!("no mistake, yet something is missing")
    };
    let keyring = Arc::new(keyring);
    let peer_tls = watch::Sender::new(credentials.peer_tls());
    let node = NodeConfig {
        id: place.id,
        cluster_id: place.cluster_id,
        kind: if args.replica { Kind::Replica } else { Kind::Master },
        peer_address: args.peer_address(),
        api_address: args.api_address(),
        etcd_url: args.etcd_url(),
        name: args.name,
        data_dir: args.data_dir,
        peer_listen: args.peer_listen,
        initial_members: args.members.into_iter().map(|m| m.0).collect(),
        peers: Vec::new(),
        tls: peer_tls.subscribe(),
        keyring: keyring.clone(),
        timing: Timing::default(),
        // Clients of a store alone say themselves what may be forgotten, as with etcd.
        compaction: if args.store_only {
            Compaction { every: Duration::ZERO, ..Compaction::default() }
        } else {
            Compaction::default()
        },
        limits: Limits {
            snapshot_log_bytes: args.snapshot_log_bytes,
            keep_log_bytes: args.keep_log_bytes,
            reserve_bytes: args.disk_reserve,
            ..Limits::default()
        },
        scrub: Scrub { every: Duration::from_secs(args.scrub_every), bytes_per_second: args.scrub_rate },
        autopilot: Autopilot::default(),
        level: args.level,
    };
    let api_listener = serve::bind(args.api_listen).await?;
    let etcd = match &args.etcd_listen {
        Some(url) => Some(etcd::Port::bind(url, args.store_only, &credentials.ca_pem, &credentials.api).await?),
        None => None,
    };
    let serves = if args.store_only { Serves::Store } else { Serves::Kubernetes };
    let options = Options {
        node,
        keyring,
        authority,
        credentials,
        peer_tls,
        files,
        api_listener,
        etcd,
        serves,
        backups,
        tracing,
    };
    start(options, stop::on_signal()?).await
}

/// Two members with one id, name or address are a slip of the hand.
fn check_members(members: &[FirstMember]) -> Result<()> {
    let mut mistakes = Mistakes::default();
    for (at, one) in members.iter().enumerate() {
        for other in &members[at + 1..] {
            let (one, other) = (&one.0, &other.0);
            let doubles = [
                ("id", one.id == other.id),
                ("name", one.name == other.name),
                ("peer address", one.peer_address == other.peer_address),
                ("API address", one.api_address == other.api_address),
            ];
            for (what, _) in doubles.iter().filter(|(_, same)| *same) {
                mistakes.note(format!("--member: {} and {} have the same {what}", one.name, other.name));
            }
        }
    }
    mistakes.end()
}

impl Args {
    /// As the command line says, of the first masters; else as --advertise-… says; else where it listens.
    fn address(&self, advertised: Option<&String>, of: impl Fn(&Member) -> &String, listen: SocketAddr) -> String {
        let first = self.members.iter().find(|m| m.0.name == self.name).map(|m| of(&m.0));
        advertised.or(first).cloned().unwrap_or_else(|| listen.to_string())
    }

    fn peer_address(&self) -> String {
        self.address(self.advertise_peer.as_ref(), |m| &m.peer_address, self.peer_listen)
    }

    fn etcd_url(&self) -> String {
        let first = self.members.iter().find(|m| m.0.name == self.name).map(|m| &m.0.etcd_url);
        first.or(self.etcd_listen.as_ref()).cloned().unwrap_or_default()
    }

    fn api_address(&self) -> String {
        self.address(self.advertise_api.as_ref(), |m| &m.api_address, self.api_listen)
    }
}

/// Which member of which cluster this master is, as far as is known before the store opens.
struct Place {
    id: u64,
    cluster_id: String,
}

impl Place {
    fn among_first(args: &Args) -> Result<Self> {
        let id = args.members.iter().find(|m| m.0.name == args.name).map(|m| m.0.id);
        let id = id.with_context(|| format!("--name {} is none of the members", args.name))?;
        Ok(Self { id, cluster_id: args.cluster_id.clone().unwrap_or_default() })
    }

    async fn by_joining(args: &Args) -> Result<Self> {
        let known = Identity::read(&args.data_dir)?.filter(|known| known.member != 0);
        if let Some(known) = known {
            return Ok(Self { id: known.member, cluster_id: known.cluster });
        }
        let candidate = join::Candidate {
            masters: args.join.clone(),
            token: args.token.clone(),
            name: args.name.clone(),
            peer_address: args.peer_address(),
            api_address: args.api_address(),
            etcd_url: args.etcd_url(),
            replica: args.replica,
            tls_dir: args.tls_dir.clone(),
        };
        let admission = join::run(&candidate).await?;
        Ok(Self { id: admission.id, cluster_id: admission.cluster_id })
    }
}

/// Runs a master until `stop` turns true, then hands leadership over and drains. One that is removed from the cluster ends
/// by itself.
pub async fn start(options: Options, mut stop: watch::Receiver<bool>) -> Result<()> {
    let Options {
        node,
        keyring,
        authority,
        credentials,
        peer_tls,
        files,
        api_listener,
        etcd,
        serves,
        backups,
        tracing,
    } = options;
    make_folder(&node.data_dir)?;
    let (data_dir, name) = (node.data_dir.clone(), node.name.clone());
    let certificates = Arc::new(observe::Certificates::default());
    credentials.show(&certificates);
    let node = Node::start(node).await.context("starting the store")?;
    let identity = faces::Identity { name, keyring, authority, credentials: &credentials, certificates: &certificates };
    let faces = faces::make(&node, identity, &data_dir, serves)?;
    let api_tls = watch::Sender::new(tls::api_server(&credentials.ca_pem, &credentials.api)?);
    let tls = api_tls.subscribe();
    let etcd_tls = etcd.as_ref().and_then(etcd::Port::certificate);
    let ports = Ports { api: api_tls, peer: peer_tls, etcd: etcd_tls, observed: faces.observed, certificates };
    let mut work = work::Work::default();
    tokio::spawn(rotation::follow(files.all(), move || ports.take_up(&files.read()?)));
    tokio::spawn(tell_when_ready(node.clone(), faces.manager.as_ref().map(|manager| manager.api.clone())));
    if let Some((plan, place)) = backups {
        let office = backups::Office::new(node.clone(), faces.source, plan, place, faces.backups);
        work.aside(office.run());
    }
    tracing::info!(address = %api_listener.local_addr()?, "serving the API");

    let router = match tracing.clone() {
        Some(tracing) => faces.router.layer(from_fn_with_state(Arc::new(tracing), traces::traced)),
        None => faces.router,
    };
    work.serve(|closing| serve::run(api_listener, tls, router, closing));
    if let Some(port) = etcd {
        let member = etcd::Member { node: node.clone(), data_dir: data_dir.clone() };
        let face = etcd::face(node.clone(), member, node.cluster_id().to_owned(), serves);
        work.serve(|closing| port.serve(face, tracing, closing));
    }
    if let Some(manager) = faces.manager {
        work.manage(|halting| server_manager::run(manager, halting));
    }
    let end = tokio::select! {
        () = stop::told(&mut stop) => End::Told,
        end = sent_away(&node) => end,
    };
    notify::stopping();
    work.end(&node).await?;
    if end == End::Leaving
        && let Err(e) = node.leave(Instant::now() + LEAVE_LIMIT).await
    {
        tracing::warn!("the others were not told that this master is gone: {e}");
    }
    node.shutdown().await;
    tracing::info!("stopped");
    end.verdict(node.id(), &data_dir)
}

/// How long saying goodbye may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// Why a master ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By a signal.
    Told,
    /// It was told to leave the cluster, and does not vote any more.
    Leaving,
    /// It was removed, perhaps while it was away.
    Removed,
}

impl End {
    fn verdict(self, id: u64, data_dir: &Path) -> Result<()> {
        match self {
            Self::Told => Ok(()),
            Self::Leaving => {
                tracing::info!(id, "this master has left the cluster");
                Ok(())
            }
            Self::Removed => bail!(
                "this master (member {id}) was removed from the cluster. Its data in {} are of no use any more; to take it back, empty that folder and start it with --join and a token of `trireme cluster add`",
                data_dir.display()
            ),
        }
    }
}

/// Waits until the cluster has no more use for this master.
async fn sent_away(node: &Arc<Node>) -> End {
    let id = node.id();
    let mut standing = node.standing();
    let is_leaving = |s: &Standing| s.members.iter().any(|m| m.id == id && m.kind == Kind::Leaving && !m.voter);
    let over = standing.wait_for(|s| s.removed || is_leaving(s)).await;
    let end = over.map(|now| if now.removed { End::Removed } else { End::Leaving });
    match end {
        Ok(end) => end,
        // The store ends with this process alone.
        Err(_) => std::future::pending().await,
    }
}

/// Everything that shows a certificate, and takes a new one.
struct Ports {
    api: watch::Sender<Arc<ServerConfig>>,
    peer: watch::Sender<PeerTls>,
    etcd: Option<watch::Sender<Arc<ServerConfig>>>,
    observed: Arc<Observed>,
    certificates: Arc<observe::Certificates>,
}

impl Ports {
    fn take_up(&self, fresh: &Credentials) -> Result<()> {
        let api = tls::api_server(&fresh.ca_pem, &fresh.api)?;
        if let Some(etcd) = &self.etcd {
            etcd.send_replace(tls::mutual_server(&fresh.ca_pem, &fresh.api)?);
        }
        self.api.send_replace(api);
        self.peer.send_replace(fresh.peer_tls());
        self.observed.renew(fresh.as_master());
        fresh.show(&self.certificates);
        Ok(())
    }
}

/// Tells systemd that this master serves, once it does: what comes after it may rely on the whole of `/readyz`.
async fn tell_when_ready(store: Arc<dyn Store>, api: Option<Arc<api_rest::Api>>) {
    if let Some(api) = api {
        api.ready().await;
    }
    let mut standing = store.standing();
    let ready = standing.wait_for(|standing| standing.ready).await;
    if let Ok(standing) = ready {
        notify::ready(&format!("{} serves, term {}", standing.name, standing.term));
    }
}

fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_from_the_command_line() {
        let check = |text: &str, expected: Option<(u64, &str)>| {
            let parsed = text.parse::<FirstMember>().ok();
            assert_eq!(parsed.as_ref().map(|m| (m.0.id, m.0.name.as_str())), expected, "{text}");
        };
        check("1=m1,127.0.0.1:2380,127.0.0.1:6443", Some((1, "m1")));
        check("m1,127.0.0.1:2380,127.0.0.1:6443", None);
        check("1=m1,127.0.0.1:2380", None);
        check("1=m1,a,b,http://127.0.0.1:2379", Some((1, "m1")));
        check("1=m1,a,b,c,d", None);
    }

    #[test]
    fn members_that_cannot_be_told_apart_are_refused() {
        let check = |members: &[&str], expected: Option<&str>| {
            let members: Vec<FirstMember> = members.iter().map(|text| text.parse().unwrap()).collect();
            let told = check_members(&members).err().map(|error| error.to_string());
            match expected {
                Some(expected) => assert!(told.clone().is_some_and(|told| told.contains(expected)), "{told:?}"),
                None => assert_eq!(told, None),
            }
        };
        check(&["1=m1,a:1,a:2", "2=m2,b:1,b:2"], None);
        check(&["1=m1,a:1,a:2", "1=m2,b:1,b:2"], Some("m1 and m2 have the same id"));
        check(&["1=m1,a:1,a:2", "2=m2,a:1,a:2"], Some("same API address"));
    }
}
