//! Requests to servers that are not ours: stores of backups, collectors of traces. HTTP/1.1, a connection for each: they are
//! few, and what they carry is large or can wait.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A server that does not accept and shake hands within this is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The head of an answer comes within this, and so does each piece of its body.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// What is read of an answer that is meant to be small.
const SMALL_BYTES: usize = 4 << 20;

/// A client of HTTP and HTTPS.
#[derive(Clone)]
pub struct Web {
    tls: Arc<ClientConfig>,
}

impl Web {
    /// Trusts the authorities in a file, or the system's.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn new(ca: Option<&Path>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(path) => {
                let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    let certificate = certificate.with_context(|| format!("reading {}", path.display()))?;
                    roots.add(certificate).with_context(|| format!("{} holds a bad certificate", path.display()))?;
                }
            }
            None => {
                // Some of a system's authorities may be odd, and it may have none at all: then https fails, and says so.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: Arc::new(tls) })
    }

    /// Sends a request with an absolute URI; its answer, whatever its status.
    ///
    /// # Errors
    /// When the server cannot be reached, or does not answer in time.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let uri = request.uri().clone();
        let host = uri.host().context("a URL without a host")?;
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let place = format!("{host}:{port}");
        let bare = host.trim_matches(['[', ']']);
        let connecting = async {
            let socket = TcpStream::connect((bare, port)).await?;
            socket.set_nodelay(true)?;
            anyhow::Ok(socket)
        };
        let socket = within(CONNECT_LIMIT, connecting).await.with_context(|| format!("connecting to {place}"))?;
        let answer = async {
            if is_tls {
                let name = ServerName::try_from(bare.to_owned())?;
                let shaking = async { Ok(TlsConnector::from(self.tls.clone()).connect(name, socket).await?) };
                exchange(within(CONNECT_LIMIT, shaking).await?, request).await
            } else {
                exchange(socket, request).await
            }
        };
        answer.await.with_context(|| format!("asking {place}"))
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.with_context(|| format!("no answer within {} s", limit.as_secs()))?
}

async fn exchange<S>(stream: S, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let uri = request.uri().clone();
    let authority = uri.authority().context("a URL without a host")?;
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer; whoever reads that hears of what goes wrong.
    tokio::spawn(connection);
    within(ANSWER_LIMIT, async { Ok(sender.send_request(request).await?) }).await
}

/// The whole of a small answer.
///
/// # Errors
/// When it breaks off, or is not small.
pub async fn body(response: Response<Incoming>) -> Result<Bytes> {
    let reading = Limited::new(response.into_body(), SMALL_BYTES).collect();
    match timeout(ANSWER_LIMIT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => bail!("the answer broke off: {error}"),
        Err(_) => bail!("the answer did not end"),
    }
}
