//! What a master shows on its API port: routes, put together from what it serves.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use api_rest::Api;
use axum::Router;
use axum::middleware::from_fn_with_state;
use raft_node::Node;
use raft_state::port::Store;

use super::Serves;
use crate::credentials::Credentials;
use crate::keyring::Keyring;
use crate::observe::{self, Observed};
use crate::pki::Authority;
use crate::tokens::TokenKeys;
use crate::{backups, grpc, masters, runtime, ui};

/// As whom the master shows itself, and what it takes others in with.
pub(super) struct Identity<'a> {
    pub(super) name: String,
    pub(super) keyring: Arc<Keyring>,
    pub(super) authority: Option<Authority>,
    pub(super) credentials: &'a Credentials,
    pub(super) certificates: &'a Arc<observe::Certificates>,
}

/// The routes, and what stands behind them.
pub(super) struct Faces {
    pub(super) router: Router,
    pub(super) observed: Arc<Observed>,
    /// What backups say of themselves.
    pub(super) source: grpc::Source,
    /// What is told of those made by the clock.
    pub(super) backups: Arc<backups::State>,
    /// What the manager is to run with; `None` for a store alone.
    pub(super) manager: Option<server_manager::Options>,
}

/// Puts the routes together.
pub(super) fn make(node: &Arc<Node>, identity: Identity<'_>, data_dir: &Path, serves: Serves) -> Result<Faces> {
    let Identity { name, keyring, authority, credentials, certificates } = identity;
    let store: Arc<dyn Store> = node.clone();
    let source = grpc::Source { cluster: node.cluster_id().to_owned(), member: name, keyring: keyring.clone() };
    let admission = grpc::Admission { ca_pem: credentials.ca_pem.clone(), authority, secrets_key: keyring.text() };
    let (registry_is_free, admission) = (serves == Serves::Store, Arc::new(admission));
    let (backups, kept) = (Arc::<backups::State>::default(), source.clone());
    let grpc = grpc::router(&grpc::Options { node: node.clone(), registry_is_free, source, admission })?;
    let api = match serves {
        Serves::Kubernetes => {
            let tokens = Arc::new(TokenKeys::derived(&keyring)?);
            Some(Api::new(store.clone(), api_rest::Config::new(keyring, tokens, credentials.ca_pem.clone())))
        }
        Serves::Store => None,
    };
    let metrics = Arc::<server_manager::Metrics>::default();
    let observed = Observed::new(observe::Parts {
        node: node.clone(),
        requests: api.as_ref().map(|api| api.metrics().clone()).unwrap_or_default(),
        manager: metrics.clone(),
        certificates: certificates.clone(),
        backups: backups.clone(),
        data_dir: data_dir.to_owned(),
        as_master: credentials.as_master(),
    });
    let router = observed.clone().router().merge(masters::router(store.clone())).merge(grpc);
    let Some(api) = api else {
        let router = router.merge(observe::health_router(store));
        return Ok(Faces { router, observed, source: kept, backups, manager: None });
    };
    let router = router.merge(ui::router()).layer(from_fn_with_state(api.clone(), api_rest::identified));
    let router = router.merge(api.clone().router());
    let (ca_pem, boot_id) = (credentials.ca_pem.clone(), node.boot_id());
    let manager = server_manager::Options { store, api, runtime: Arc::new(runtime::Tokio), boot_id, ca_pem, metrics };
    Ok(Faces { router, observed, source: kept, backups, manager: Some(manager) })
}
