//! Sends spans that have ended.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::Full;
use prost::Message;
use raft_trace::Ended;
use tokio::sync::mpsc;

use super::otlp;
use crate::web::{self, Web};

/// Spans of one request.
const SPANS: usize = 512;
/// Between two requests.
const EVERY: Duration = Duration::from_secs(1);
/// A collector that is away is told of once in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Sends what ends, for as long as this process lives. What a collector does not take is lost: traces are worth no memory.
pub(super) async fn run(mut ended: mpsc::Receiver<Ended>, web: Web, url: Uri, member: String) {
    let mut complained: Option<Instant> = None;
    loop {
        let mut spans = Vec::new();
        if ended.recv_many(&mut spans, SPANS).await == 0 {
            return;
        }
        if let Err(error) = send(&web, &url, &member, spans).await
            && complained.is_none_or(|at| at.elapsed() > COMPLAIN_EVERY)
        {
            complained = Some(Instant::now());
            tracing::warn!("traces are lost: {error:#}");
        }
        if ended.len() < SPANS {
            tokio::time::sleep(EVERY).await;
        }
    }
}

async fn send(web: &Web, url: &Uri, member: &str, spans: Vec<Ended>) -> Result<()> {
    let body = Bytes::from(otlp::request(member, spans).encode_to_vec());
    let request = Request::builder()
        .method(Method::POST)
        .uri(url.clone())
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .body(Full::new(body))?;
    let response = web.send(request).await?;
    let status = response.status();
    let said = web::body(response).await?;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&said));
    Ok(())
}
