//! The API over a solo store: requests go through the router, as over HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_rest::call::Caller;
use api_rest::token::{PublicKey, TokenKeys};
use api_rest::{Api, Config, Identity, bootstrap};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use raft_state::port::Store;
use raft_state::{Command, Outcome};
use serde_json::Value;
use tests_solo::{Solo, TestKeyring};
use tower::ServiceExt;

/// A server, and the store below it.
pub struct Server {
    router: Router,
    pub store: Arc<Solo>,
}

/// Signs with a checksum: enough to tell a token that was made here from one that was not.
struct TestTokens;

impl TokenKeys for TestTokens {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let sum = message.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        sum.to_be_bytes().to_vec()
    }

    fn verify(&self, key_id: &str, message: &[u8], signature: &[u8]) -> bool {
        key_id == "test" && self.sign(message) == signature
    }

    fn public(&self) -> Vec<PublicKey> {
        vec![PublicKey { id: "test".to_owned(), bytes: vec![1; 32] }]
    }
}

/// An answer, read whole.
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Server {
    /// With what every cluster has.
    pub async fn new() -> Self {
        let store = Solo::new();
        Self::over(store.clone(), store).await
    }

    /// Over a store that stands before the one that holds everything.
    pub async fn over(front: Arc<dyn Store>, store: Arc<Solo>) -> Self {
        let mut config = Config::new(Arc::new(TestKeyring), Arc::new(TestTokens), String::new());
        config.request_timeout = Duration::from_secs(5);
        let api = Api::new(front, config);
        let caller = Caller {
            identity: Identity::component("test"),
            manager: "test".to_owned(),
            epoch: None,
            deadline: Instant::now() + Duration::from_secs(5),
            trusted: true,
        };
        bootstrap::ensure(&api, &caller, &[]).await.unwrap();
        Self { router: api.router(), store }
    }

    /// Serves over HTTP/1.1 on a port of its own, every client an administrator.
    pub async fn listen(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let admin = Identity::new("admin", vec!["system:masters".to_owned()]);
        let router = self.router.clone().layer(axum::Extension(admin));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Sends a request with headers as an administrator; the answer's body is still to be read.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> http::Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(Identity::new("admin", vec!["system:masters".to_owned()]));
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let (head, body) = self.open(method, path, headers, body).await.into_parts();
        // A stream where an answer was due would never end.
        let body = tokio::time::timeout(Duration::from_secs(10), body.collect()).await.expect("an end of the answer");
        Answer { code: head.status, headers: head.headers, body: body.unwrap().to_bytes() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, object: &Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], object.to_string()).await
    }

    pub async fn put(&self, path: &str, object: &Value) -> Answer {
        self.send(Method::PUT, path, &[("content-type", "application/json")], object.to_string()).await
    }

    pub async fn patch(&self, path: &str, media_type: &str, patch: &Value) -> Answer {
        self.send(Method::PATCH, path, &[("content-type", media_type)], patch.to_string()).await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> Answer {
        self.send(Method::DELETE, path, &[("content-type", "application/json")], options.to_string()).await
    }

    /// A request as somebody without any rights, or as nobody.
    pub async fn as_user(&self, user: Option<&str>, method: Method, path: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        if let Some(user) = user {
            request.extensions_mut().insert(Identity::new(user, Vec::new()));
        }
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        Answer { code: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    /// A request by the bearer of a token, over a connection without a certificate.
    pub async fn as_bearer(&self, token: &str, method: Method, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json");
        let (head, body) = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body.to_string())).unwrap())
            .await
            .unwrap()
            .into_parts();
        Answer { code: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    /// A watch in JSON, with events one by one.
    pub async fn watch(&self, path: &str) -> Watch {
        let response = self.open(Method::GET, path, &[], "").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        Watch::of(response.into_body(), Duration::from_secs(10))
    }

    /// Forgets all revisions before one.
    pub async fn compact(&self, revision: u64) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let outcomes = self.store.propose(vec![Command::Compact { revision }], deadline).await.unwrap();
        assert!(!matches!(outcomes[..], [Outcome::Refused(_)]), "{outcomes:?}");
    }
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    /// The object, of a request that was granted.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(self.code.is_success(), "{}: {:?}", self.code, self.body);
        self.json()
    }

    /// Code and reason of a refusal, and its message.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String, String) {
        let status = self.json();
        assert_eq!(status["kind"], "Status", "{status}");
        assert_eq!(status["code"], self.code.as_u16());
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        (self.code.as_u16(), text("reason"), text("message"))
    }

    pub fn content_type(&self) -> &str {
        self.headers["content-type"].to_str().unwrap()
    }
}

/// A stream of events.
pub struct Watch {
    body: Body,
    pending: Vec<u8>,
    patience: Duration,
}

impl Watch {
    pub fn of(body: Body, patience: Duration) -> Self {
        Self { body, pending: Vec::new(), patience }
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(self.patience, self.body.frame()).await.expect("an event")?;
            self.pending.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
        }
    }

    /// The next events' types and names.
    pub async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            let event = self.next().await.expect("the stream goes on");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            names.push(format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"])));
        }
        names
    }
}
