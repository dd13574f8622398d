//! The plain pages that etcd's tools ask for beside gRPC.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::grpc::Body;
use crate::{API_VERSION, CLUSTER_VERSION, Face};

/// How long a health check waits for a quorum.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

impl Face {
    /// `/health`, `/livez`, `/readyz`, `/version`, `/metrics`; anything else is not found.
    pub(crate) async fn page(&self, path: &str, query: &str) -> Response<Body> {
        match path {
            "/health" => self.health_page(query.split('&').any(|part| part == "serializable=true")).await,
            "/readyz" => self.ready_page().await,
            "/livez" => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/version" => page(
                StatusCode::OK,
                JSON,
                format!(
                    r#"{{"etcdserver":"{API_VERSION}","etcdcluster":"{CLUSTER_VERSION}","storage":"{CLUSTER_VERSION}"}}"#
                ),
            ),
            "/metrics" => page(StatusCode::OK, TEXT, self.metrics()),
            _ => page(StatusCode::NOT_FOUND, TEXT, "404 page not found\n".to_owned()),
        }
    }

    async fn health_page(&self, serializable: bool) -> Response<Body> {
        match self.latest(serializable, Instant::now() + HEALTH_LIMIT).await {
            Ok(_) => page(StatusCode::OK, JSON, r#"{"health":"true","reason":""}"#.to_owned()),
            Err(status) => page(
                StatusCode::SERVICE_UNAVAILABLE,
                JSON,
                format!(r#"{{"health":"false","reason":"RANGE ERROR:{}"}}"#, status.message),
            ),
        }
    }

    async fn ready_page(&self) -> Response<Body> {
        match self.latest(false, Instant::now() + HEALTH_LIMIT).await {
            Ok(_) => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
            Err(status) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{}\n", status.message)),
        }
    }

    /// What etcd's own dashboards and `etcdctl check` look at. All of Trireme's metrics are on its API port.
    fn metrics(&self) -> String {
        let standing = self.standing().borrow().clone();
        let state = self.store.snapshot();
        let watches = &self.hub.counts;
        let mut text = String::new();
        let mut gauge = |name: &str, help: &str, value: u64| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        };
        gauge("etcd_server_has_leader", "Whether a leader is seen.", u64::from(standing.leader.is_some()));
        gauge("etcd_server_is_leader", "Whether this member leads.", u64::from(standing.leads));
        gauge("etcd_server_proposals_applied_total", "The log index applied here.", standing.applied_index);
        gauge("etcd_debugging_mvcc_current_revision", "The revision.", state.revision());
        gauge("etcd_debugging_mvcc_compact_revision", "The floor of history.", state.compacted());
        gauge("etcd_debugging_lease_count", "Leases.", state.leases().len() as u64);
        gauge("etcd_debugging_mvcc_watcher_total", "Watches.", watches.watches.load(Ordering::Relaxed));
        gauge("etcd_debugging_mvcc_slow_watcher_total", "Watches behind.", self.hub.behind());
        let lag = self.hub.lag(state.revision());
        gauge("trireme_etcd_watch_lag_revisions", "Revisions that the slowest watch was not given yet.", lag);
        gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams.", watches.streams.load(Ordering::Relaxed));
        gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes on disk.", self.operator.disk_bytes());
        gauge("process_resident_memory_bytes", "Bytes of memory.", self.operator.memory_bytes());
        text
    }
}

fn page(status: StatusCode, content_type: HeaderValue, text: String) -> Response<Body> {
    let mut response = Response::new(Body::plain(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
