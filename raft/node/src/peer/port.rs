//! The socket behind the peer service.

use std::sync::Arc;
use std::time::Duration;

use api_proto::peer::peer_server::PeerServer;
use futures::FutureExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tower::Service;

use crate::config::{PeerTls, Timing};
use crate::ground::Ground;
use crate::peer::dial::{MESSAGE_BYTES_MAX, WINDOW_BYTES};
use crate::peer::gate::Gate;
use crate::peer::identity::require_master;
use crate::peer::socket;

/// Whoever connects and does not shake hands within this is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// When no connection can be accepted: descriptors have run out, and those that end make room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The certificate that new connections get: always the latest that is usable.
pub(crate) struct Certificate {
    source: watch::Receiver<PeerTls>,
    config: Arc<ServerConfig>,
}

impl Certificate {
    pub(crate) fn new(mut source: watch::Receiver<PeerTls>) -> Result<Self, String> {
        let config = server_config(&source.borrow_and_update())?;
        Ok(Self { source, config })
    }

    fn latest(&mut self) -> Arc<ServerConfig> {
        if self.source.has_changed().unwrap_or(false) {
            match server_config(&self.source.borrow_and_update()) {
                Ok(config) => self.config = config,
                Err(e) => tracing::error!("the new peer certificate is not usable, the old one stays: {e}"),
            }
        }
        self.config.clone()
    }
}

/// Lets in whoever shows a certificate of the authority.
fn server_config(tls: &PeerTls) -> Result<Arc<ServerConfig>, String> {
    let certificates = |pem: &str| -> Result<Vec<CertificateDer<'static>>, String> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|e| e.to_string())
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca_pem)? {
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes()).map_err(|e| e.to_string())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&tls.cert_pem)?, key)
        .map_err(|e| e.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Where calls of peers come in.
pub(crate) enum Door {
    /// A socket, and whom to let in.
    Socket(TcpListener, Certificate),
    /// Somebody else's ground.
    Ground(Arc<dyn Ground>),
}

impl Door {
    /// Serves until `closed` says so.
    pub(crate) fn serve(self, gate: Gate, closed: watch::Receiver<bool>, timing: &Timing) {
        let service = PeerServer::new(gate)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        match self {
            Self::Socket(listener, certificate) => {
                serve(listener, certificate, service, closed, socket::patience(timing))
            }
            Self::Ground(ground) => ground.listen(Arc::new(move |call| {
                let mut service = service.clone();
                async move { service.call(call).await.unwrap_or_else(|never| match never {}) }.boxed()
            })),
        }
    }
}

fn serve(
    listener: TcpListener,
    certificate: Certificate,
    service: PeerServer<Gate>,
    mut closed: watch::Receiver<bool>,
    patience: Duration,
) {
    let (connected, incoming) = mpsc::unbounded_channel();
    let accepting = tokio::spawn(accept(listener, certificate, connected, patience));
    let guarded = InterceptedService::new(service, require_master);
    let server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)));
    let incoming = UnboundedReceiverStream::new(incoming);
    let serving = server.serve_with_incoming_shutdown(guarded, incoming, async move {
        // Dropped or set: either way it is over.
        let _ = closed.wait_for(|closed| *closed).await;
        // The port closes at once: others must see that nobody listens there any more.
        accepting.abort();
    });
    tokio::spawn(async move {
        if let Err(e) = serving.await {
            tracing::error!("the peer port broke: {e}");
        }
    });
}

type Connected = Result<TlsStream<TcpStream>, std::io::Error>;

/// Accepts, and shakes hands beside: who is slow at it keeps nobody else waiting.
async fn accept(
    listener: TcpListener,
    mut certificate: Certificate,
    connected: mpsc::UnboundedSender<Connected>,
    patience: Duration,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!("accepting on the peer port: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, connected) = (TlsAcceptor::from(certificate.latest()), connected.clone());
        tokio::spawn(async move {
            if let Err(e) = socket::tune(&stream).and_then(|()| socket::give_up_after(&stream, patience)) {
                tracing::debug!("a connection to the peer port that ended at once: {e}");
                return;
            }
            match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                // Closed only while this member stops.
                Ok(Ok(stream)) => drop(connected.send(Ok(stream))),
                Ok(Err(e)) => tracing::debug!("a handshake on the peer port failed: {e}"),
                Err(_) => tracing::debug!("a handshake on the peer port took too long"),
            }
        });
    }
}
