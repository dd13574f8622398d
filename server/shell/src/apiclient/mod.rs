//! A lean Kubernetes client: HTTP/2 over mutual TLS to whichever master answers.
//!
//! One connection carries all requests. When it breaks, requests that may be repeated go to the next master.

mod connect;
mod error;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::sync::Mutex;

pub use error::Error;
pub use watch::Watch;

use crate::pki::Pair;

/// How often a request is tried over a broken connection before its caller hears of it.
const ATTEMPTS: usize = 10;
/// Between two attempts, so that an election has time to pass.
const PAUSE: Duration = Duration::from_millis(100);
/// The answer to an ordinary request must come within this.
const ANSWER_LIMIT: Duration = Duration::from_secs(65);

/// Whom to ask, and as whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of each API server.
    pub endpoints: Vec<String>,
    /// The cluster's authority, PEM.
    pub ca_pem: String,
    /// Client certificate, PEM.
    pub cert_pem: String,
    /// Its key, PEM.
    pub key_pem: String,
}

impl Options {
    /// All of it.
    pub fn new(endpoints: Vec<String>, ca_pem: String, cert_pem: String, key_pem: String) -> Self {
        Self { endpoints, ca_pem, cert_pem, key_pem }
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// The client. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    endpoints: Vec<String>,
    tls: parking_lot::Mutex<Arc<ClientConfig>>,
    /// The connection in use, and the endpoint to try next.
    connection: Mutex<(Option<Sender>, usize)>,
}

/// How a body is to be read.
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

impl Client {
    /// A client; connects when first used.
    ///
    /// # Errors
    /// When a certificate or key cannot be read.
    pub fn new(options: Options) -> Result<Self, Error> {
        let tls = connect::tls(&options)?;
        // Clients begin at different masters, so that they share the load.
        let first = options.cert_pem.bytes().map(usize::from).sum::<usize>() % options.endpoints.len().max(1);
        let tls = parking_lot::Mutex::new(tls);
        let inner = Inner { endpoints: options.endpoints, tls, connection: Mutex::new((None, first)) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Shows another certificate from the next connection on; the one in use is let go of.
    ///
    /// # Errors
    /// When it cannot be read; the old one stays in use.
    pub async fn renew(&self, ca_pem: &str, pair: &Pair) -> Result<(), Error> {
        let (cert, key) = (pair.cert_pem.clone(), pair.key_pem.clone());
        let tls = connect::tls(&Options::new(Vec::new(), ca_pem.to_owned(), cert, key))?;
        *self.inner.tls.lock() = tls;
        // Who has a request in flight on it keeps it alive until the answer is there.
        self.inner.connection.lock().await.0 = None;
        Ok(())
    }

    /// GET of one object or list.
    ///
    /// # Errors
    /// As every call: the API's refusal, or that no master answers.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        self.call(Method::GET, path, "", Bytes::new()).await
    }

    /// POST.
    ///
    /// # Errors
    /// As [`Client::get`]. After a broken connection the object may exist: AlreadyExists can mean success.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, Error> {
        self.call(Method::POST, path, JSON, object.to_string().into()).await
    }

    /// PATCH with a JSON merge patch (RFC 7386).
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, Error> {
        self.call(Method::PATCH, path, MERGE_PATCH, patch.to_string().into()).await
    }

    /// DELETE with options.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, Error> {
        self.call(Method::DELETE, path, JSON, options.to_string().into()).await
    }

    /// A watch.
    ///
    /// # Errors
    /// As [`Client::get`]; 410 when the revision is too old.
    pub async fn watch(&self, path: &str) -> Result<Watch, Error> {
        let response = self.exchange(Method::GET, path, "", Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        Ok(Watch::new(response.into_body()))
    }

    async fn call(&self, method: Method, path: &str, kind: &str, body: Bytes) -> Result<Value, Error> {
        let answer = async {
            let response = self.exchange(method, path, kind, body).await?;
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            let body = response.into_body().collect().await.map_err(Error::broken)?.to_bytes();
            serde_json::from_slice(&body).map_err(|error| Error::Malformed(error.to_string()))
        };
        tokio::time::timeout(ANSWER_LIMIT, answer).await.map_err(|_| Error::Broken("no answer in time".to_owned()))?
    }

    /// Sends a request over the connection at hand, and over new ones while it breaks.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, Error> {
        let mut last = Error::Broken("there is no endpoint".to_owned());
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let mut sender = match self.sender().await {
                Ok(sender) => sender,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            let request = Request::builder()
                .method(method.clone())
                .uri(format!("https://trireme{path}"))
                .header(http::header::CONTENT_TYPE, kind)
                .body(Full::new(body.clone()))
                .map_err(|error| Error::Malformed(error.to_string()))?;
            match sender.send_request(request).await {
                // A master that is stopping says so; another one will do.
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE && attempt + 1 < ATTEMPTS => {
                    self.forget().await;
                }
                Ok(response) => return Ok(response),
                Err(error) => {
                    self.forget().await;
                    last = Error::broken(error);
                }
            }
        }
        Err(last)
    }

    async fn sender(&self) -> Result<Sender, Error> {
        let mut connection = self.inner.connection.lock().await;
        if let Some(sender) = connection.0.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let count = self.inner.endpoints.len();
        let mut last = Error::Broken("there is no endpoint".to_owned());
        for _ in 0..count {
            let endpoint = &self.inner.endpoints[connection.1 % count];
            let tls = self.inner.tls.lock().clone();
            match connect::connect(endpoint, &tls).await {
                Ok(sender) => {
                    connection.0 = Some(sender.clone());
                    return Ok(sender);
                }
                Err(error) => {
                    last = error;
                    connection.1 += 1;
                }
            }
        }
        Err(last)
    }

    /// The connection is no good: the next request goes to the next master.
    async fn forget(&self) {
        let mut connection = self.inner.connection.lock().await;
        connection.0 = None;
        connection.1 += 1;
    }
}

async fn refusal(response: http::Response<Incoming>) -> Error {
    let code = response.status().as_u16();
    match response.into_body().collect().await {
        Ok(body) => Error::from_status(code, &body.to_bytes()),
        Err(error) => Error::broken(error),
    }
}
