//! Asking a master whether it can serve: `/readyz` without a client certificate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// `trireme health`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the API.
    #[arg(long, default_value = "127.0.0.1:6443")]
    api: SocketAddr,
    /// The cluster's CA certificate.
    #[arg(long)]
    ca: PathBuf,
    /// How long to wait for an answer, milliseconds.
    #[arg(long, default_value_t = 2000)]
    timeout_ms: u64,
}

/// Asks once.
pub async fn run(args: Args) -> Result<()> {
    let ca_pem = std::fs::read_to_string(&args.ca).with_context(|| format!("reading {}", args.ca.display()))?;
    let tls = crate::tls::anonymous_client(&ca_pem)?;
    if !ready(args.api, &tls, Duration::from_millis(args.timeout_ms)).await {
        bail!("{} is not ready", args.api);
    }
    say!("ready");
    Ok(())
}

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
