//! Asking a master whether it can serve: `/readyz` without a client certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whether the API at `address` answers `/readyz` with 200 within `limit`.
pub async fn ready(address: SocketAddr, tls: &Arc<ClientConfig>, limit: Duration) -> bool {
    tokio::time::timeout(limit, probe(address, tls)).await.is_ok_and(|answer| answer.unwrap_or(false))
}

async fn probe(address: SocketAddr, tls: &Arc<ClientConfig>) -> std::io::Result<bool> {
    let socket = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(tls.clone()).connect(ServerName::from(address.ip()), socket).await?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: trireme\r\nconnection: close\r\n\r\n").await?;
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head).await?;
    Ok(&head == b"HTTP/1.1 200")
}
