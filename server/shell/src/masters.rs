//! `/trireme/masters`: the API addresses of the masters, for front doors and nodes.
//!
//! Anybody who reaches the port may ask, as with `cluster-info`: whoever can has one of the addresses already, and without a
//! certificate the others are worth no more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use raft_state::port::{Kind, Store};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An answer longer than this is none of ours.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// The route.
pub fn router(store: Arc<dyn Store>) -> Router {
    Router::new().route("/trireme/masters", get(list)).with_state(store)
}

/// Those that serve: whoever is leaving is not named any more.
async fn list(State(store): State<Arc<dyn Store>>) -> Json<Vec<String>> {
    let members = store.standing().borrow().members.clone();
    Json(
        members
            .into_iter()
            .filter(|m| m.kind != Kind::Leaving)
            .map(|m| m.api_address)
            .filter(|a| !a.is_empty())
            .collect(),
    )
}

/// Asks a master.
pub async fn ask(address: SocketAddr, tls: &Arc<ClientConfig>, limit: Duration) -> Option<Vec<String>> {
    let answer = tokio::time::timeout(limit, fetch(address, tls)).await.ok()?.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).ok())?
}

async fn fetch(address: SocketAddr, tls: &Arc<ClientConfig>) -> std::io::Result<String> {
    let socket = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(tls.clone()).connect(ServerName::from(address.ip()), socket).await?;
    // HTTP/1.0: the answer is not chunked, and ends with the connection.
    stream.write_all(b"GET /trireme/masters HTTP/1.0\r\nhost: trireme\r\n\r\n").await?;
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
    // A peer that does not say goodbye in TLS has still said what it had to say.
    match read {
        Err(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => Err(e),
        _ => String::from_utf8(answer).map_err(std::io::Error::other),
    }
}
