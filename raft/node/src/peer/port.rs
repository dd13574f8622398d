//! The socket behind the peer service.

use std::time::Duration;

use api_proto::peer::peer_server::PeerServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::config::PeerTls;
use crate::peer::dial::{MESSAGE_BYTES_MAX, WINDOW_BYTES};
use crate::peer::identity::require_master;
use crate::peer::server::PeerService;

/// A server that lets in whoever shows a certificate of the authority.
pub(crate) fn server(tls: &PeerTls) -> Result<Server, tonic::transport::Error> {
    let identity = Identity::from_pem(&tls.cert_pem, &tls.key_pem);
    let config = ServerTlsConfig::new().identity(identity).client_ca_root(Certificate::from_pem(&tls.ca_pem));
    Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .tls_config(config)
}

/// Serves until `closed` says so.
pub(crate) fn serve(listener: TcpListener, server: Server, service: PeerService, mut closed: watch::Receiver<bool>) {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = PeerServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let guarded = InterceptedService::new(service, require_master);
    let serving = server.serve_with_incoming_shutdown(guarded, incoming, async move {
        // Dropped or set: either way it is over.
        let _ = closed.wait_for(|closed| *closed).await;
    });
    tokio::spawn(async move {
        if let Err(e) = serving.await {
            tracing::error!("the peer port broke: {e}");
        }
    });
}
