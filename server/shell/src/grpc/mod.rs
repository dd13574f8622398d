//! gRPC on the API port: `trireme.v1`, health and reflection, merged into the router that serves the Kubernetes API, so that
//! one listener and one identity serve both.
//!
//! Health is for everybody. Reflection wants a client that is known, everything else an administrator.

mod backup;
mod cluster;
mod maintenance;
mod status;
mod store;
mod txn;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_proto::v1;
use api_proto::v1::cluster_server::ClusterServer;
use api_proto::v1::maintenance_server::MaintenanceServer;
use api_proto::v1::store_server::StoreServer;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use raft_node::Node;
use raft_state::port::Store as _;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

pub use backup::Source;
pub use cluster::Admission;

/// A call that names no deadline gets this.
const DEADLINE: Duration = Duration::from_secs(60);
/// The largest request: what a proposal may hold, and a little for what is around it.
const REQUEST_BYTES_MAX: usize = 17 << 20;
/// The services whose health is told.
const SERVICES: [&str; 4] = ["", "trireme.v1.Store", "trireme.v1.Maintenance", "trireme.v1.Cluster"];
/// What those may call who have no certificate yet; joining looks at their token.
const FOR_JOINERS: [&str; 2] = ["/trireme.v1.Cluster/Authority", "/trireme.v1.Cluster/Join"];

/// What the services stand on.
#[derive(Clone)]
pub struct Options {
    /// The member.
    pub node: Arc<Node>,
    /// Whether keys below `/registry/` may be written: only where no Kubernetes API owns them.
    pub registry_is_free: bool,
    /// What backups say of themselves.
    pub source: Source,
    /// What it takes to take other masters in.
    pub admission: Arc<Admission>,
}

/// The routes of all services. They have no fallback: what is no gRPC path is for others.
///
/// # Errors
/// When the descriptors for reflection do not parse: a defect of the build.
pub fn router(options: &Options) -> anyhow::Result<Router> {
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(report_health(reporter, options.node.standing()));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let store = StoreServer::new(store::Service::new(options)).max_decoding_message_size(REQUEST_BYTES_MAX);
    let maintenance = MaintenanceServer::new(maintenance::Service::new(options));
    let cluster = ClusterServer::new(cluster::Service::new(options));
    let router = serve(serve(serve(Router::new(), store), maintenance), cluster);
    let router = serve(serve(router, reflection), health);
    Ok(router.route_layer(middleware::from_fn(authorize)))
}

/// Adds a service under its name.
fn serve<S>(router: Router, service: S) -> Router
where
    S: tower::Service<Request, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    router.route_service(&format!("/{}/{{*method}}", S::NAME), service)
}

/// Who may call what, until RBAC says it.
async fn authorize(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with("/grpc.health.") || FOR_JOINERS.contains(&path) {
        return next.run(request).await;
    }
    let refusal = match request.extensions().get::<api_rest::Identity>() {
        None => Status::unauthenticated("a client certificate is needed"),
        Some(identity) if identity.is_in("system:masters") || path.starts_with("/grpc.reflection.") => {
            return next.run(request).await;
        }
        Some(identity) => {
            let method = path.trim_start_matches('/');
            Status::permission_denied(format!("User {:?} cannot call {method}: system:masters can", identity.user))
        }
    };
    refusal.into_http::<axum::body::Body>().into_response()
}

/// Tells health checks whether this member serves, for as long as it lives.
async fn report_health(
    reporter: HealthReporter,
    mut standing: tokio::sync::watch::Receiver<raft_state::port::Standing>,
) {
    let mut told = None;
    loop {
        let ready = standing.borrow_and_update().ready;
        if told != Some(ready) {
            told = Some(ready);
            let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in SERVICES {
                reporter.set_service_status(service, status).await;
            }
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}

/// Until when a call is to be answered, by its `grpc-timeout`.
fn deadline(metadata: &MetadataMap) -> Instant {
    let wanted = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(timeout);
    Instant::now() + wanted.map_or(DEADLINE, |wanted| wanted.min(DEADLINE))
}

/// At most eight digits and a unit, as the protocol has it.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        let check = |text: &str, expected: Option<Duration>| assert_eq!(timeout(text), expected, "{text:?}");
        check("2S", Some(Duration::from_secs(2)));
        check("1500m", Some(Duration::from_millis(1500)));
        check("99999999n", Some(Duration::from_nanos(99_999_999)));
        check("1H", Some(Duration::from_secs(3600)));
        check("100000000S", None);
        check("S", None);
        check("", None);
        check("-1S", None);
        check("5x", None);
        check("5µ", None);
    }
}
