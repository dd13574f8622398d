//! A lean HTTP/2 client over mutual TLS: one connection, many requests at once.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Who the client is and whom it trusts.
#[derive(Clone)]
pub struct Credentials(Arc<ClientConfig>);

impl Credentials {
    /// Reads PEM files.
    ///
    /// # Errors
    /// When a file is missing or holds no PEM.
    pub fn read(ca: &Path, cert: &Path, key: &Path) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).with_context(|| format!("reading {}", ca.display()))? {
            roots.add(certificate?)?;
        }
        let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(key)?;
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl Credentials {
    /// TLS over a connected socket, to a server that is known by its address.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn secure(&self, socket: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = ServerName::from(socket.peer_addr()?.ip());
        Ok(TlsConnector::from(self.0.clone()).connect(name, socket).await?)
    }

    /// No certificate, and trust in whoever answers: for peers on loopback with certificates of their own.
    ///
    /// # Panics
    /// Never: ring speaks TLS 1.2 and 1.3.
    pub fn trusting_anyone() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self(Arc::new(api_client::unproven(provider).expect("ring speaks the default versions")))
    }
}

/// One connection to one API server. Clones share it.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    sender: http2::SendRequest<Full<Bytes>>,
    bearer: Option<Arc<str>>,
    trace: Option<Arc<str>>,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{}: {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The body as JSON when the status is a success.
    ///
    /// # Errors
    /// On any other status, with the server's message.
    pub fn success(&self) -> Result<Value> {
        if self.status.is_success() {
            return self.json();
        }
        anyhow::bail!("{}: {}", self.status, String::from_utf8_lossy(&self.body))
    }

    /// Only that the status is a success; the body is not looked at.
    ///
    /// # Errors
    /// On any other status, with the server's message.
    pub fn ok(&self) -> Result<()> {
        anyhow::ensure!(self.status.is_success(), "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(())
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers, or not as the cluster's authority says.
    pub async fn connect(address: SocketAddr, credentials: &Credentials) -> Result<Self> {
        let socket = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        socket.set_nodelay(true)?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(credentials.0.clone()).connect(name, socket).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(Self { address, sender, bearer: None, trace: None })
    }

    /// Whether the server has said goodbye, or the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// The same connection, with a bearer token on every request (for peers that know tokens).
    #[must_use]
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.into());
        self
    }

    /// The same connection, with a `traceparent` on every request.
    #[must_use]
    pub fn with_trace(mut self, traceparent: &str) -> Self {
        self.trace = Some(traceparent.into());
        self
    }

    /// Sends a request; the answer's body is still to be read.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn open(&self, method: Method, path: &str, kind: &str, body: Bytes) -> Result<http::Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.address));
        if !body.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.bearer {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(trace) = &self.trace {
            request = request.header("traceparent", &**trace);
        }
        let mut sender = self.sender.clone();
        sender.ready().await?;
        Ok(sender.send_request(request.body(Full::new(body))?).await?)
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// When the connection breaks before the answer is whole. A bad status is an answer.
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: impl Into<Bytes>) -> Result<Reply> {
        let response = self.open(method, path, kind, body.into()).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Reply { status, body })
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, "", Bytes::new()).await
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn post(&self, path: &str, object: &Value) -> Result<Reply> {
        self.send(Method::POST, path, "application/json", object.to_string()).await
    }

    /// POST of JSON that is text already.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn post_bytes(&self, path: &str, body: Bytes) -> Result<Reply> {
        self.send(Method::POST, path, "application/json", body).await
    }

    /// PATCH with a JSON merge patch.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Reply> {
        self.send(Method::PATCH, path, "application/merge-patch+json", patch.to_string()).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn delete(&self, path: &str) -> Result<Reply> {
        self.send(Method::DELETE, path, "", Bytes::new()).await
    }

    /// A watch: its events in order, as they come.
    ///
    /// # Errors
    /// When the watch is refused.
    pub async fn watch(&self, path: &str) -> Result<Watch> {
        let response = self.open(Method::GET, path, "", Bytes::new()).await?;
        let status = response.status();
        if !status.is_success() {
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(Watch { body: response.into_body(), pending: BytesMut::new(), searched: 0 })
    }
}

/// A stream of watch events.
pub struct Watch {
    body: Incoming,
    pending: BytesMut,
    /// So many bytes of what is pending hold no end of a line.
    searched: usize,
}

impl Watch {
    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks or an event is no JSON.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        let line = self.next_line().await?;
        Ok(line.map(|line| serde_json::from_slice(&line)).transpose()?)
    }

    /// The next event as it was sent; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next_line(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.pending[self.searched..].iter().position(|b| *b == b'\n') {
                let line = self.pending.split_to(self.searched + end + 1).freeze();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.pending.len();
            match self.frame().await? {
                None => return Ok(None),
                Some(data) => self.pending.extend_from_slice(&data),
            }
        }
    }

    /// Passes over the events that come next, and says how many they were; `None` at the end. For those who only count.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn skip(&mut self) -> Result<Option<usize>> {
        let data = self.frame().await?;
        Ok(data.map(|data| data.iter().filter(|b| **b == b'\n').count()))
    }

    async fn frame(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}
