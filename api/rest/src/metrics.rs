//! What the API counts: requests by verb, resource and code, and the watches that are open.
//!
//! The names are kube-apiserver's where it has one for the same thing, so that dashboards made for it work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::response::Response;
use http::{Method, Uri};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use raft_state::port::Store;

use crate::route::Resource;
use crate::watches::{OpenWatches, Watches};

/// Upper bounds of request durations: 0.25 ms to 8 s, doubling.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    verb: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    scope: &'static str,
}

/// What was asked for, and the HTTP status that came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    verb: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    scope: &'static str,
    code: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InFlight {
    request_kind: &'static str,
}

/// The counters of one member's API.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<Answered, Counter>,
    durations: Family<Asked, Histogram, fn() -> Histogram>,
    in_flight: Family<InFlight, Gauge>,
    answered: AtomicU64,
    failed: AtomicU64,
    pub(crate) watches: Arc<Watches>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            in_flight: Family::default(),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            watches: Arc::default(),
        }
    }
}

impl Metrics {
    /// Has them served by a registry. The store says how far open watches could have come.
    pub fn register(&self, registry: &mut Registry, store: Arc<dyn Store>) {
        registry.register("apiserver_request", "Requests by verb, resource and HTTP status", self.requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "From a request to the head of its answer; watches are not in it",
            self.durations.clone(),
        );
        registry.register(
            "apiserver_current_inflight_requests",
            "Requests that wait for the head of their answer",
            self.in_flight.clone(),
        );
        registry.register_collector(Box::new(OpenWatches { watches: self.watches.clone(), store }));
    }

    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Requests answered so far with a 5xx status.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Watches that are open.
    pub fn watches_open(&self) -> u64 {
        self.watches.open()
    }

    /// Revisions that the slowest open watch has not been given yet.
    pub fn watch_lag(&self, revision: u64) -> u64 {
        self.watches.lag(revision)
    }

    /// A request has come.
    pub(crate) fn begin(&self, method: &Method, uri: &Uri) -> Request<'_> {
        let asked = asked(method, uri);
        let request_kind = if matches!(asked.verb, "GET" | "LIST" | "WATCH") { "readOnly" } else { "mutating" };
        let in_flight = self.in_flight.get_or_create_owned(&InFlight { request_kind });
        in_flight.inc();
        Request { metrics: self, asked, in_flight, begun: Instant::now() }
    }
}

/// A request on its way; dropped unanswered when the client has gone.
pub(crate) struct Request<'a> {
    metrics: &'a Metrics,
    asked: Asked,
    in_flight: Gauge,
    begun: Instant,
}

impl Request<'_> {
    /// Its answer begins.
    pub(crate) fn end(self, response: &Response) {
        let Asked { verb, group, version, resource, subresource, scope } = self.asked;
        let code = response.status().as_u16();
        let answered = Answered { verb, group, version, resource, subresource, scope, code };
        self.metrics.requests.get_or_create(&answered).inc();
        self.metrics.answered.fetch_add(1, Ordering::Relaxed);
        if code >= 500 {
            self.metrics.failed.fetch_add(1, Ordering::Relaxed);
        }
        if verb != "WATCH" {
            self.metrics.durations.get_or_create(&self.asked).observe(self.begun.elapsed().as_secs_f64());
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

/// Labels for a request. All of them come from the table of kinds, so that no client can make new ones up.
fn asked(method: &Method, uri: &Uri) -> Asked {
    let query = uri.query().unwrap_or_default();
    let resource = Resource::parse(uri.path());
    let kind = resource.and_then(|resource| resource.kind());
    let (Some(resource), Some(kind)) = (resource, kind) else {
        let verb = plain_verb(method);
        return Asked { verb, group: "", version: "", resource: "", subresource: "", scope: "" };
    };
    let watches = resource.watch || query.split('&').any(|part| matches!(part, "watch=true" | "watch=1" | "watch"));
    let verb = match *method {
        Method::GET | Method::HEAD if watches && resource.subresource.is_empty() => "WATCH",
        Method::GET | Method::HEAD if resource.name.is_empty() => "LIST",
        Method::DELETE if resource.name.is_empty() => "DELETECOLLECTION",
        _ => plain_verb(method),
    };
    let scope = match (resource.name.is_empty(), resource.namespace.is_empty()) {
        (false, _) => "resource",
        (true, false) => "namespace",
        (true, true) => "cluster",
    };
    let known = kind.subresources.iter().map(|subresource| subresource.name);
    let subresource = match resource.subresource {
        "" => "",
        asked => known.into_iter().find(|name| *name == asked).unwrap_or("unknown"),
    };
    Asked { verb, group: kind.group, version: kind.version, resource: kind.plural, subresource, scope }
}

fn plain_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_labelled_by_what_they_ask_for() {
        let check = |method: Method, uri: &str, expected: [&str; 4]| {
            let asked = asked(&method, &uri.parse().unwrap());
            assert_eq!([asked.verb, asked.resource, asked.subresource, asked.scope], expected, "{uri}");
        };
        check(Method::GET, "/api/v1/pods", ["LIST", "pods", "", "cluster"]);
        check(Method::GET, "/api/v1/pods?limit=5&watch=true", ["WATCH", "pods", "", "cluster"]);
        check(Method::GET, "/api/v1/namespaces/a/pods", ["LIST", "pods", "", "namespace"]);
        check(Method::GET, "/api/v1/namespaces/a/pods/p", ["GET", "pods", "", "resource"]);
        check(Method::PATCH, "/api/v1/namespaces/a/pods/p/status", ["PATCH", "pods", "status", "resource"]);
        check(Method::POST, "/api/v1/namespaces/a/pods/p/madeup", ["POST", "pods", "unknown", "resource"]);
        check(Method::DELETE, "/api/v1/namespaces/a/pods", ["DELETECOLLECTION", "pods", "", "namespace"]);
        check(Method::GET, "/made/up", ["GET", "", "", ""]);
    }

    #[test]
    fn an_answer_is_counted_once_and_its_request_is_no_longer_in_flight() {
        let metrics = Metrics::default();
        let uri = "/api/v1/nodes".parse().unwrap();
        let mut response = Response::new(axum::body::Body::empty());
        metrics.begin(&Method::GET, &uri).end(&response);
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        metrics.begin(&Method::GET, &uri).end(&response);
        drop(metrics.begin(&Method::GET, &uri));
        assert_eq!((metrics.answered(), metrics.failed()), (2, 1));
        assert_eq!(metrics.in_flight.get_or_create(&InFlight { request_kind: "readOnly" }).get(), 0);
    }
}
