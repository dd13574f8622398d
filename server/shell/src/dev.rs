//! `trireme dev`: a whole cluster in one process, with nothing to configure.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use raft_node::{Autopilot, Compaction, Limits, NodeConfig, Scrub, Timing};
use raft_state::port::{Kind, Member};

use crate::credentials::{Credentials, Files};
use crate::keyring::Keyring;
use crate::pki::{Authority, Subject};
use crate::{health, kubeconfig, serve, server, simnode, stop, tls};

/// `trireme dev`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of certificates, kubeconfig and data.
    #[arg(long, default_value = ".trireme-dev", env = "TRIREME_DIR")]
    dir: PathBuf,
    /// Simulated nodes.
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Port of the API.
    #[arg(long, default_value_t = 6443)]
    port: u16,
    /// Port for other masters; none come, but the store listens.
    #[arg(long, default_value_t = 2380)]
    peer_port: u16,
}

/// Runs until told to stop.
pub async fn run(args: Args) -> Result<()> {
    let begun = Instant::now();
    let stop = stop::on_signal()?;
    let dir = args.dir;
    let api_address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let peer_address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.peer_port));
    let api_listener = serve::bind(api_address).await?;

    let authority = Authority::open_or_generate(&dir.join("ca.crt"), &dir.join("pki/ca.key"))?;
    let admin = authority.read_or_issue(&dir.join("admin"), &Subject::client("admin", "system:masters"))?;
    let files = Files { ca: dir.join("ca.crt"), api: dir.join("tls/apiserver"), peer: dir.join("tls/peer") };
    let api_pair = authority.read_or_issue(&dir.join("tls/apiserver"), &Subject::api_server(&[]))?;
    let peer = authority.read_or_issue(&dir.join("tls/peer"), &Subject::master("dev"))?;
    let keyring = Arc::new(Keyring::open_or_generate(&dir.join("tls/secrets.key"))?);
    let ca_pem = authority.cert_pem.clone();
    let config = kubeconfig::administrator(&format!("https://{api_address}"), &ca_pem, &admin);
    crate::pki::write_private(&dir.join("kubeconfig"), config.as_bytes())?;

    let credentials = Credentials { ca_pem: ca_pem.clone(), api: api_pair, peer };
    let peer_tls = tokio::sync::watch::Sender::new(credentials.peer_tls());
    let member = Member {
        id: 1,
        name: "dev".to_owned(),
        peer_address: peer_address.to_string(),
        api_address: api_address.to_string(),
        etcd_url: String::new(),
        voter: true,
        kind: Kind::Master,
    };
    let node = NodeConfig {
        id: 1,
        name: "dev".to_owned(),
        cluster_id: "dev".to_owned(),
        kind: Kind::Master,
        peer_address: peer_address.to_string(),
        api_address: api_address.to_string(),
        etcd_url: String::new(),
        data_dir: dir.join("data"),
        peer_listen: peer_address,
        initial_members: vec![member],
        peers: Vec::new(),
        tls: peer_tls.subscribe(),
        keyring: keyring.clone(),
        timing: Timing::default(),
        compaction: Compaction::default(),
        limits: Limits::default(),
        scrub: Scrub::default(),
        autopilot: Autopilot::default(),
        level: raft_node::LEVEL,
    };
    let nodes = (1..=args.nodes)
        .map(|i| {
            let name = format!("node-{i}");
            let stem = dir.join("tls").join(&name);
            let pair = authority.read_or_issue(&stem, &Subject::node(&name))?;
            Ok(simnode::NodeIdentity { name, pair, stem })
        })
        .collect::<Result<Vec<_>>>()?;

    let options = server::Options {
        node,
        keyring,
        authority: Some(authority),
        credentials,
        peer_tls,
        files,
        api_listener,
        etcd: None,
        serves: server::Serves::Kubernetes,
        backups: None,
        tracing: None,
    };
    let mut master = tokio::spawn(server::start(options, stop.clone()));
    let tls = tls::anonymous_client(&ca_pem)?;
    let ready = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while !health::ready(api_address, &tls, Duration::from_secs(1)).await {
            tick.tick().await;
        }
    };
    tokio::select! {
        () = ready => {}
        ended = &mut master => return ended.context("the master")?,
    }
    say!("serving after {} ms; try:\n", begun.elapsed().as_millis());
    say!("  export KUBECONFIG={}", std::fs::canonicalize(dir.join("kubeconfig"))?.display());
    say!("  kubectl apply -f docs/examples/web.yaml");
    say!("  kubectl create deployment hello --image=nginx --replicas=3");
    say!("  kubectl get pods -o wide");
    let agents = tokio::spawn(simnode::run(simnode::Options {
        api: vec![api_address.to_string()],
        ca_pem,
        nodes,
        behaviour: simnode::Behaviour::default(),
        counts: Arc::default(),
        shutdown: stop,
    }));
    master.await.context("the master")??;
    agents.await.context("the nodes")?
}
