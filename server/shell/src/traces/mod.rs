//! Traces of requests, sent to a collector that speaks OTLP.
//!
//! A request that a client records (W3C's `traceparent`) is traced, and of the others a share.

mod export;
mod otlp;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use raft_trace::{Context, Span};

/// Where traces go, and how many.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A collector that speaks OTLP over HTTP, http(s)://host:port; traces go to /v1/traces there.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<http::Uri>,
    /// Authorities that it is verified with, PEM. [default: the system's]
    #[arg(long, value_name = "FILE", env = "OTEL_EXPORTER_OTLP_CERTIFICATE")]
    otlp_ca: Option<std::path::PathBuf>,
    /// Which share of the requests is traced whose clients do not trace them: 0 to 1.
    #[arg(long, value_name = "SHARE", env = "TRIREME_TRACE_SHARE", default_value_t = 0.01)]
    trace_share: f64,
}

/// Which requests are traced. Clones are alike.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// Drawn below this out of 2^32.
    below: u64,
}

impl Args {
    /// Begins to send traces, when there is somewhere to send them to. `member`: whose they are.
    ///
    /// # Errors
    /// When a setting cannot work.
    pub fn begin(&self, member: &str) -> Result<Option<Tracing>> {
        ensure!((0.0..=1.0).contains(&self.trace_share), "--trace-share is a share, from 0 to 1");
        let Some(endpoint) = &self.otlp_endpoint else { return Ok(None) };
        ensure!(matches!(endpoint.scheme_str(), Some("http" | "https")), "--otlp-endpoint is no http(s)://host:port");
        let url = format!("{}/v1/traces", endpoint.to_string().trim_end_matches('/')).parse()?;
        let web = crate::web::Web::new(self.otlp_ca.as_deref()).context("--otlp-ca")?;
        if let Some(ended) = raft_trace::collect() {
            tokio::spawn(export::run(ended, web, url, member.to_owned()));
        }
        let below = (self.trace_share * 2_f64.powi(32)) as u64;
        Ok(Some(Tracing { below }))
    }
}

impl Tracing {
    /// The span of a request that is to be traced, by its name.
    fn begin<B>(&self, request: &http::Request<B>, name: impl FnOnce() -> String) -> Option<Span> {
        let header = request.headers().get("traceparent").and_then(|header| header.to_str().ok());
        let parent = header.and_then(Context::parse);
        let is_drawn = || u64::from(rand::random::<u32>()) < self.below;
        // A client that says that it does not record is taken at its word.
        let is_traced = parent.map_or_else(is_drawn, |(_, recorded)| recorded);
        is_traced.then(|| {
            let mut span = Span::of_request(parent.map(|(context, _)| context), name());
            span.say("http.request.method", request.method().as_str());
            span.say("url.path", request.uri().path());
            span
        })
    }

    /// The span of a call of etcd's API that is to be traced: by its service and method.
    pub fn begin_call<B>(&self, request: &http::Request<B>) -> Option<Span> {
        self.begin(request, || request.uri().path().trim_start_matches('/').to_owned())
    }
}

/// Traces a request through the layers below.
pub async fn traced(State(tracing): State<Arc<Tracing>>, request: Request, next: Next) -> Response {
    let Some(mut span) = tracing.begin(&request, || request.method().to_string()) else {
        return next.run(request).await;
    };
    let response = raft_trace::within(span.context(), next.run(request)).await;
    span.say("http.response.status_code", u64::from(response.status().as_u16()));
    if response.status().is_server_error() {
        span.fail(response.status().to_string());
    }
    response
}
