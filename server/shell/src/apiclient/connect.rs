//! One connection to one master.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Error, Options, Sender};

/// A master that does not accept and shake hands within this is passed over.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A connection on which nothing has been heard for so long is asked, and given up when it stays silent.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

pub(super) fn tls(options: &Options) -> Result<Arc<ClientConfig>, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::Malformed(format!("certificates: {error}"));
    let roots = crate::tls::roots(&options.ca_pem).map_err(|error| bad(&error))?;
    let chain = CertificateDer::pem_slice_iter(options.cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(&error))?;
    let key = PrivateKeyDer::from_pem_slice(options.key_pem.as_bytes()).map_err(|error| bad(&error))?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| bad(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

pub(super) async fn connect(endpoint: &str, tls: &Arc<ClientConfig>) -> Result<Sender, Error> {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::Malformed(error.to_string()))?;
    let connecting = async {
        let socket = TcpStream::connect(endpoint).await?;
        socket.set_nodelay(true)?;
        TlsConnector::from(tls.clone()).connect(name, socket).await
    };
    let stream = tokio::time::timeout(CONNECT_LIMIT, connecting)
        .await
        .map_err(|_| Error::Broken(format!("{endpoint} does not answer")))?
        .map_err(Error::broken)?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(Error::broken)?;
    // It ends with the connection; requests in flight hear of it.
    tokio::spawn(connection);
    Ok(sender)
}
