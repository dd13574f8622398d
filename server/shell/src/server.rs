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
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::keyring::Keyring;
use crate::pki::Pair;
use crate::tokens::TokenKeys;
use crate::{etcd, grpc, runtime, serve, standing, stop, tls};

/// `trireme server`
#[derive(Debug, clap::Args)]
pub struct Args {
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
    /// The cluster's authority, PEM.
    pub ca_pem: String,
    /// The API's certificate.
    pub api_pair: Pair,
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
    let id = args.members.iter().find(|m| m.0.name == args.name).map(|m| m.0.id);
    let id = id.with_context(|| format!("--name {} is none of the members", args.name))?;
    let read = |name: &str| Pair::read(&args.tls_dir.join(name));
    let (api_pair, peer) = (read("apiserver")?, read("peer")?);
    let ca = args.tls_dir.join("ca.crt");
    let ca_pem = std::fs::read_to_string(&ca).with_context(|| format!("reading {}", ca.display()))?;
    let keyring = Arc::new(Keyring::open(&args.tls_dir.join("secrets.key"))?);
    let node = NodeConfig {
        id,
        name: args.name,
        cluster_id: args.cluster_id,
        data_dir: args.data_dir,
        peer_listen: args.peer_listen,
        initial_members: args.members.into_iter().map(|m| m.0).collect(),
        tls: PeerTls { ca_pem: ca_pem.clone(), cert_pem: peer.cert_pem, key_pem: peer.key_pem },
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
        Some(url) => Some(etcd::Port::bind(url, args.store_only, &ca_pem, &api_pair).await?),
        None => None,
    };
    let serves = if args.store_only { Serves::Store } else { Serves::Kubernetes };
    start(Options { node, keyring, ca_pem, api_pair, api_listener, etcd, serves }, stop::on_signal()?).await
}

/// Runs a master until `stop` turns true, then hands leadership over and drains.
pub async fn start(options: Options, stop: watch::Receiver<bool>) -> Result<()> {
    let Options { node, keyring, ca_pem, api_pair, api_listener, etcd, serves } = options;
    make_folder(&node.data_dir)?;
    let (data_dir, cluster_id) = (node.data_dir.clone(), node.cluster_id.clone());
    let source = grpc::Source { cluster: cluster_id.clone(), member: node.name.clone(), keyring: keyring.clone() };
    let node = Node::start(node).await.context("starting the store")?;
    let store: Arc<dyn Store> = node.clone();
    let registry_is_free = serves == Serves::Store;
    let grpc = grpc::router(&grpc::Options { node: node.clone(), registry_is_free, source })?;
    let mut router = standing::router(store.clone()).merge(grpc);
    let mut manager = None;
    if serves == Serves::Kubernetes {
        let tokens = Arc::new(TokenKeys::derived(&keyring)?);
        let api = Api::new(store.clone(), api_rest::Config::new(keyring, tokens, ca_pem.clone()));
        router = router.merge(api.clone().router());
        let (store, ca_pem, boot_id) = (store.clone(), ca_pem.clone(), node.boot_id());
        manager = Some(server_manager::Options { store, api, runtime: Arc::new(runtime::Tokio), boot_id, ca_pem });
    } else {
        router = router.merge(standing::health_router(store.clone()));
    }
    let tls = tls::api_server(&ca_pem, &api_pair)?;
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
}
