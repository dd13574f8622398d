//! What a master says of itself at `/trireme/standing`: to administrators, `./x status`, and the benchmarks.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::StatusCode;
use raft_state::port::Store;
use serde::{Deserialize, Serialize};

use crate::apiclient::{self, Client};
use crate::pki::Pair;

/// Where it is served.
pub const PATH: &str = "/trireme/standing";

/// One master's view of itself and its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Member id.
    pub id: u64,
    /// `m1`
    pub name: String,
    /// Whether it leads, with a quorum behind it.
    pub leads: bool,
    /// Whether it serves.
    pub ready: bool,
    /// The leader's id, as far as it knows.
    pub leader: Option<u64>,
    /// Raft term.
    pub term: u64,
    /// Highest log index applied.
    pub applied_index: u64,
    /// The store's revision.
    pub revision: u64,
    /// The manager's epoch.
    pub epoch: u64,
}

/// The route, for administrators only.
pub fn router(store: Arc<dyn Store>) -> Router {
    Router::new().route(PATH, get(report)).with_state(store)
}

/// What anybody may ask of a store alone: whether it lives and serves.
pub fn health_router(store: Arc<dyn Store>) -> Router {
    let ready = move || {
        let is_ready = store.standing().borrow().ready;
        async move { if is_ready { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") } }
    };
    Router::new().route("/readyz", get(ready)).route("/livez", get(|| async { "ok" }))
}

async fn report(
    State(store): State<Arc<dyn Store>>,
    identity: Option<Extension<api_rest::Identity>>,
) -> Result<Json<Report>, StatusCode> {
    let identity = identity.ok_or(StatusCode::UNAUTHORIZED)?;
    if !identity.groups.iter().any(|g| g == "system:masters") {
        return Err(StatusCode::FORBIDDEN);
    }
    let standing = store.standing().borrow().clone();
    Ok(Json(Report {
        id: standing.id,
        name: standing.name,
        leads: standing.leads,
        ready: standing.ready,
        leader: standing.leader,
        term: standing.term,
        applied_index: standing.applied_index,
        revision: standing.revision,
        epoch: standing.epoch,
    }))
}

/// Asks a master, with the certificate whose files begin with `stem`.
pub async fn ask(address: SocketAddr, ca: &Path, stem: &Path) -> Result<Report> {
    let ca_pem = std::fs::read_to_string(ca).with_context(|| format!("reading {}", ca.display()))?;
    let pair = Pair::read(stem)?;
    let client = Client::new(apiclient::Options::new(vec![address.to_string()], ca_pem, pair.cert_pem, pair.key_pem))?;
    Ok(serde_json::from_value(client.get(PATH).await?)?)
}
