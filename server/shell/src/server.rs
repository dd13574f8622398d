//! One master: the store, the API, and when it leads, the manager.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use api_rest::Api;
use raft_node::{Compaction, Limits, Node, NodeConfig, PeerTls, Timing};
use raft_state::port::{Member, Store};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::credentials::{Credentials, Files};
use crate::keyring::Keyring;
use crate::mistakes::Mistakes;
use crate::observe::{self, Observed};
use crate::tokens::TokenKeys;
use crate::{etcd, grpc, notify, rotation, runtime, serve, stop, tls, ui};

/// `trireme server`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the configuration lies.
    #[command(flatten)]
    _config: crate::config::Args,
    /// This master's name.
    #[arg(long, env = "TRIREME_NAME")]
    name: String,
    /// Names the cluster; the same on all masters.
    #[arg(long, env = "TRIREME_CLUSTER_ID")]
    cluster_id: String,
    /// Log, state and snapshots.
    #[arg(long, env = "TRIREME_DATA_DIR")]
    data_dir: PathBuf,
    /// Holds ca.crt, apiserver.crt/.key, peer.crt/.key and secrets.key.
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
    /// Bytes of log kept below the latest snapshot, for members that lag a little; others get the snapshot.
    #[arg(long, default_value_t = Limits::default().keep_log_bytes, env = "TRIREME_KEEP_LOG_BYTES")]
    keep_log_bytes: u64,
    /// A first member, `<id>=<name>,<peer address>,<api address>[,<etcd url>]`; once for each, the same on all.
    #[arg(long = "member", required = true, env = "TRIREME_MEMBERS", value_delimiter = ';')]
    members: Vec<FirstMember>,
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
    let files = Files::in_folder(&args.tls_dir);
    let mut mistakes = Mistakes::default();
    let id = args.members.iter().find(|m| m.0.name == args.name).map(|m| m.0.id);
    let id = mistakes.take(id.with_context(|| format!("--name {} is none of the members", args.name)));
    mistakes.take(check_members(&args.members));
    if args.api_listen == args.peer_listen {
        mistakes.note(format!("--api-listen and --peer-listen are both {}", args.api_listen));
    }
    let credentials = mistakes.take(files.read());
    let keyring = mistakes.take(Keyring::open(&args.tls_dir.join("secrets.key")));
    mistakes.end()?;
    let (Some(id), Some(credentials), Some(keyring)) = (id, credentials, keyring) else {
        unreachable!("no mistake, yet something is missing")
    };
    let keyring = Arc::new(keyring);
    let peer_tls = watch::Sender::new(credentials.peer_tls());
    let node = NodeConfig {
        id,
        name: args.name,
        cluster_id: args.cluster_id,
        data_dir: args.data_dir,
        peer_listen: args.peer_listen,
        initial_members: args.members.into_iter().map(|m| m.0).collect(),
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
            ..Limits::default()
        },
    };
    let api_listener = serve::bind(args.api_listen).await?;
    let etcd = match &args.etcd_listen {
        Some(url) => Some(etcd::Port::bind(url, args.store_only, &credentials.ca_pem, &credentials.api).await?),
        None => None,
    };
    let serves = if args.store_only { Serves::Store } else { Serves::Kubernetes };
    let options = Options { node, keyring, credentials, peer_tls, files, api_listener, etcd, serves };
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

/// Runs a master until `stop` turns true, then hands leadership over and drains.
pub async fn start(options: Options, stop: watch::Receiver<bool>) -> Result<()> {
    let Options { node, keyring, credentials, peer_tls, files, api_listener, etcd, serves } = options;
    make_folder(&node.data_dir)?;
    let (data_dir, cluster_id) = (node.data_dir.clone(), node.cluster_id.clone());
    let certificates = Arc::new(observe::Certificates::default());
    credentials.show(&certificates);
    let source = grpc::Source { cluster: cluster_id.clone(), member: node.name.clone(), keyring: keyring.clone() };
    let node = Node::start(node).await.context("starting the store")?;
    let store: Arc<dyn Store> = node.clone();
    let registry_is_free = serves == Serves::Store;
    let grpc = grpc::router(&grpc::Options { node: node.clone(), registry_is_free, source })?;
    let api = match serves {
        Serves::Kubernetes => {
            let tokens = Arc::new(TokenKeys::derived(&keyring)?);
            Some(Api::new(store.clone(), api_rest::Config::new(keyring, tokens, credentials.ca_pem.clone())))
        }
        Serves::Store => None,
    };
    let managing = Arc::<server_manager::Metrics>::default();
    let observed = Observed::new(observe::Parts {
        node: node.clone(),
        requests: api.as_ref().map(|api| api.metrics().clone()).unwrap_or_default(),
        manager: managing.clone(),
        certificates: certificates.clone(),
        data_dir: data_dir.clone(),
        as_master: credentials.as_master(),
    });
    let mut router = observed.clone().router().merge(grpc);
    let mut manager = None;
    if let Some(api) = api {
        router = router.merge(ui::router()).merge(api.clone().router());
        let (store, ca_pem, boot_id) = (store.clone(), credentials.ca_pem.clone(), node.boot_id());
        let runtime = Arc::new(runtime::Tokio);
        manager = Some(server_manager::Options { store, api, runtime, boot_id, ca_pem, metrics: managing });
    } else {
        router = router.merge(observe::health_router(store.clone()));
    }
    let tls_sender = watch::Sender::new(tls::api_server(&credentials.ca_pem, &credentials.api)?);
    let tls = tls_sender.subscribe();
    let etcd_tls = etcd.as_ref().and_then(etcd::Port::certificate);
    let ports = Ports { api: tls_sender, peer: peer_tls, etcd: etcd_tls, observed, certificates };
    tokio::spawn(rotation::follow(files.all(), move || ports.take_up(&files.read()?)));
    tokio::spawn(tell_when_ready(store.clone()));
    tracing::info!(address = %api_listener.local_addr()?, "serving the API");

    // The API goes on while leadership moves, and drains after: requests in flight see a slower answer, not an error.
    let (close, closing) = watch::channel(false);
    let mut serving = vec![tokio::spawn(serve::run(api_listener, tls, router, closing.clone()))];
    if let Some(port) = etcd {
        let member = etcd::Member { node: node.clone(), data_dir };
        let face = etcd::face(store, member, cluster_id, serves);
        serving.push(tokio::spawn(port.serve(face, closing)));
    }
    let managing = manager.map(|options| tokio::spawn(server_manager::run(options, stop.clone())));
    let mut stop = stop;
    let _ = stop.wait_for(|stop| *stop).await;
    notify::stopping();
    if let Some(managing) = managing {
        managing.await.context("the manager")?;
    }
    node.hand_over().await;
    close.send_replace(true);
    for served in serving {
        served.await.context("a server")?;
    }
    node.shutdown().await;
    tracing::info!("stopped");
    Ok(())
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

/// Tells systemd that this master serves, once it does.
async fn tell_when_ready(store: Arc<dyn Store>) {
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
