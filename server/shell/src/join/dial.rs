//! The joiner's connections to a master.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use api_proto::v1;
use api_proto::v1::cluster_client::ClusterClient;
use hyper_util::rt::TokioIo;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{Obstacle, Token};
use crate::pki::Pair;

/// A master that does not accept within this is passed over.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Being taken in waits for a leader, and for its commit.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// A connection that shows no certificate.
pub(super) fn as_nobody(master: &str, ca_pem: &str) -> Result<ClusterClient<Channel>> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem));
    Ok(ClusterClient::new(endpoint(master)?.tls_config(tls)?.connect_lazy()))
}

/// A connection that shows a master's certificate.
pub(super) fn as_master(master: &str, ca_pem: &str, pair: &Pair) -> Result<ClusterClient<Channel>> {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(ca_pem))
        .identity(Identity::from_pem(&pair.cert_pem, &pair.key_pem));
    Ok(ClusterClient::new(endpoint(master)?.tls_config(tls)?.connect_lazy()))
}

fn endpoint(master: &str) -> Result<Endpoint> {
    let endpoint = Endpoint::from_shared(format!("https://{master}"));
    Ok(endpoint.map_err(|e| anyhow!("{master} is no address: {e}"))?.connect_timeout(CONNECT_LIMIT).timeout(CALL_LIMIT))
}

/// The cluster's authority, asked for over a connection that proves nothing; it is right when the token says so.
pub(super) async fn authority(master: &str, token: &Token) -> Result<String, Obstacle> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.ok_or_else(|| Obstacle::Final(anyhow!("no TLS provider is installed")))?;
    let config = api_client::unproven(provider).map_err(|e| Obstacle::Final(e.into()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let address = master.to_owned();
    let dialled = tower::service_fn(move |_: http::Uri| {
        let (connector, address) = (connector.clone(), address.clone());
        async move {
            let socket = TcpStream::connect(&address).await?;
            let nobody = ServerName::try_from("trireme").map_err(std::io::Error::other)?;
            connector.connect(nobody, socket).await.map(TokioIo::new)
        }
    });
    // The scheme is for tonic alone: the connector sees to TLS.
    let endpoint = Endpoint::from_shared(format!("http://{master}"));
    let endpoint = endpoint.map_err(|e| Obstacle::Final(anyhow!("{master} is no address: {e}")))?;
    let channel = endpoint.connect_timeout(CONNECT_LIMIT).timeout(CALL_LIMIT).connect_with_connector(dialled).await;
    let channel = channel.map_err(|e| Obstacle::Passing(format!("it does not answer: {}", cause(&e))))?;
    let answer = ClusterClient::new(channel).authority(v1::AuthorityRequest {}).await?.into_inner();
    if token.trusts(&answer.ca_pem) {
        Ok(answer.ca_pem)
    } else {
        let why = "it belongs to another cluster than the token, or somebody sits in between: its authority is not the token's";
        Err(Obstacle::Final(anyhow!(why)))
    }
}

fn cause(error: &tonic::transport::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
