//! What a master shows of itself: `/metrics` to Prometheus, `/trireme/…` as JSON to `trireme top`, `/ui` and `./x status`.
//!
//! All of it asks for a certificate: administrators, other masters, and whoever is in `system:monitoring` may look.

pub mod certificates;
pub mod cluster;
mod history;
mod process;
pub mod report;
mod sampler;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use parking_lot::Mutex;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use raft_node::Node;
use raft_state::port::Store;

pub use certificates::Certificates;
pub use history::History;
pub use process::Process;

use crate::apiclient::Client;
use crate::backups;

/// Where Prometheus asks.
pub const METRICS: &str = "/metrics";

/// Groups that may look at what a process counts.
const OBSERVERS: [&str; 4] =
    ["system:masters", "system:monitoring", raft_node::MASTERS_GROUP, raft_node::REPLICAS_GROUP];

/// What one master can tell.
pub struct Observed {
    node: Arc<Node>,
    requests: Arc<api_rest::Metrics>,
    manager: Arc<server_manager::Metrics>,
    certificates: Arc<Certificates>,
    backups: Arc<backups::State>,
    history: Arc<History>,
    registry: Registry,
    begun: Instant,
    /// How this master asks the others.
    as_master: Mutex<AsMaster>,
    clients: Mutex<Vec<(String, Client)>>,
}

/// This master's own certificate, by which others know it.
#[derive(Clone)]
pub struct AsMaster {
    /// The cluster's authority, PEM.
    pub ca_pem: String,
    /// Certificate and key.
    pub pair: crate::pki::Pair,
}

/// What [`Observed::new`] puts together.
pub struct Parts {
    /// The member.
    pub node: Arc<Node>,
    /// Its API's counters.
    pub requests: Arc<api_rest::Metrics>,
    /// Its manager's counters.
    pub manager: Arc<server_manager::Metrics>,
    /// Its certificates.
    pub certificates: Arc<Certificates>,
    /// The backups that it makes.
    pub backups: Arc<backups::State>,
    /// Where its data lie.
    pub data_dir: PathBuf,
    /// How to ask the others.
    pub as_master: AsMaster,
}

impl Observed {
    /// Begins to take samples, until the last clone of the result is gone.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { node, requests, manager, certificates, backups, data_dir, as_master } = parts;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(store::Collect { node: node.clone(), data_dir }));
        requests.register(&mut registry, node.clone());
        manager.register(&mut registry);
        register_process(&mut registry, certificates.clone());
        registry.register_collector(Box::new(backups::Shown(backups.clone())));
        let history = Arc::new(History::default());
        tokio::spawn(sampler::run(Arc::downgrade(&node), Arc::downgrade(&requests), Arc::downgrade(&history)));
        tokio::spawn(sampler::follow(node.standing(), Arc::downgrade(&history)));
        let (begun, clients, as_master) = (Instant::now(), Mutex::default(), Mutex::new(as_master));
        Arc::new(Self { node, requests, manager, certificates, backups, history, registry, begun, as_master, clients })
    }

    /// Asks the others with another certificate from now on.
    pub fn renew(&self, as_master: AsMaster) {
        *self.as_master.lock() = as_master;
        self.clients.lock().clear();
    }

    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(METRICS, get(metrics))
            .route(report::PATH, get(standing))
            .route(cluster::PATH, get(cluster::serve))
            .route(history::PATH, get(history::serve))
            .layer(middleware::from_fn(observers_only))
            .with_state(self)
    }
}

/// What every process of ours counts.
pub fn register_process(registry: &mut Registry, certificates: Arc<Certificates>) {
    registry.register_collector(Box::new(Process));
    registry.register_collector(Box::new(certificates));
}

/// Serves the metrics of a process that has no other port (front door, nodes).
pub fn metrics_router(registry: Registry) -> Router {
    let registry = Arc::new(registry);
    Router::new()
        .route(METRICS, get(move || std::future::ready(in_text(&registry))))
        .layer(middleware::from_fn(observers_only))
        .route("/livez", get(|| std::future::ready("ok")))
}

/// What anybody may ask of a store alone: whether it lives and serves.
pub fn health_router(store: Arc<dyn Store>) -> Router {
    let ready = move || {
        let is_ready = store.standing().borrow().ready;
        std::future::ready(if is_ready {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        })
    };
    Router::new().route("/readyz", get(ready)).route("/livez", get(|| std::future::ready("ok")))
}

async fn metrics(State(observed): State<Arc<Observed>>) -> Response {
    in_text(&observed.registry)
}

fn in_text(registry: &Registry) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn standing(State(observed): State<Arc<Observed>>) -> Json<report::Report> {
    Json(observed.report())
}

/// Lets observers through.
async fn observers_only(request: Request, next: Next) -> Response {
    match request.extensions().get::<api_rest::Identity>() {
        None => api_rest::Status::unauthorized().into_response(),
        Some(identity) if OBSERVERS.iter().any(|group| identity.is_in(group)) => next.run(request).await,
        Some(identity) => {
            let path = request.uri().path();
            let message = format!("forbidden: User \"{}\" cannot get path \"{path}\"", identity.user);
            api_rest::Status::not_authorized(message).into_response()
        }
    }
}
