//! A client without sockets.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full};
use prost::Message;
use raft_state::port::{BoxFuture, Store};
use server_etcd::{Face, Operator, Options, Status};
use tests_solo::Solo;
use tokio::sync::mpsc;

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(10);

struct Nobody;

impl Operator for Nobody {
    fn disk_bytes(&self) -> u64 {
        4096
    }

    fn memory_bytes(&self) -> u64 {
        8192
    }

    fn move_leader(&self, _to: u64, _deadline: Instant) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}

/// A face over an empty store.
pub struct World {
    pub face: Arc<Face>,
}

/// A gRPC status as it arrived.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    pub code: u32,
    pub message: String,
}

/// As a table row says it.
pub fn failed(status: &Status) -> Failed {
    Failed { code: status.code as u32, message: status.message.clone().into_owned() }
}

fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

fn status_of(headers: &HeaderMap) -> Option<Result<(), Failed>> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let code: u32 = text("grpc-status")?.parse().unwrap();
    Some(if code == 0 { Ok(()) } else { Err(Failed { code, message: text("grpc-message").unwrap_or_default() }) })
}

impl World {
    pub fn new() -> Self {
        Self::with(None)
    }

    /// With keys that another face owns.
    pub fn with(read_only: Option<Bytes>) -> Self {
        Self::over(Solo::new(), read_only)
    }

    /// Over a store of one's own.
    pub fn over(store: Arc<dyn Store>, read_only: Option<Bytes>) -> Self {
        let face = Face::new(Options {
            store,
            operator: Arc::new(Nobody),
            cluster_id: "test".to_owned(),
            read_only,
            peer_scheme: "https",
        });
        Self { face }
    }

    pub async fn call<R: Message + Default>(&self, path: &str, request: impl Message) -> Result<R, Failed> {
        let mut messages = self.many(path, request).await?;
        assert_eq!(messages.len(), 1, "{path} answers once");
        Ok(messages.remove(0))
    }

    /// A call that answers with many messages.
    pub async fn many<R: Message + Default>(&self, path: &str, request: impl Message) -> Result<Vec<R>, Failed> {
        let request = Request::post(path).header("content-type", "application/grpc").body(Full::new(framed(&request)));
        let response = self.face.clone().call(request.unwrap()).await;
        if let Some(status) = status_of(response.headers()) {
            status?;
        }
        let collected = response.into_body().collect().await.unwrap();
        status_of(collected.trailers().unwrap()).unwrap()?;
        let mut bytes = collected.to_bytes();
        let mut messages = Vec::new();
        while let Some(message) = take(&mut bytes) {
            messages.push(message);
        }
        Ok(messages)
    }

    /// A stream both ways.
    pub async fn stream(&self, path: &str) -> Stream {
        let (requests, queue) = mpsc::unbounded_channel();
        let request = Request::post(path).header("content-type", "application/grpc").body(Queue(queue)).unwrap();
        let body = self.face.clone().call(request).await.into_body();
        Stream { requests: Some(requests), body, buffer: BytesMut::new(), ready: VecDeque::new(), end: None }
    }

    /// A page that is no gRPC.
    pub async fn page(&self, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Full::new(Bytes::new())).unwrap();
        let response = self.face.clone().call(request).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }
}

fn take<R: Message + Default>(bytes: &mut Bytes) -> Option<R> {
    let length = u32::from_be_bytes(bytes.get(1..5)?.try_into().unwrap()) as usize;
    (bytes.len() >= 5 + length).then(|| {
        bytes.advance(5);
        R::decode(bytes.split_to(length)).unwrap()
    })
}

/// Requests that are sent one by one.
struct Queue(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Queue {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// The client's end of a stream.
pub struct Stream {
    requests: Option<mpsc::UnboundedSender<Bytes>>,
    body: server_etcd::Body,
    buffer: BytesMut,
    ready: VecDeque<Bytes>,
    end: Option<Result<(), Failed>>,
}

impl Stream {
    pub fn send(&self, message: impl Message) {
        self.requests.as_ref().expect("still open").send(framed(&message)).expect("the face listens");
    }

    /// The next message, or how the stream ended.
    pub async fn next<R: Message + Default>(&mut self) -> Result<R, Result<(), Failed>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(R::decode(message).unwrap());
            }
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            let frame = tokio::time::timeout(PATIENCE, frame).await.expect("something arrives");
            match frame.map(|frame| frame.unwrap().into_data()) {
                Some(Ok(data)) => self.take_in(&data),
                Some(Err(frame)) => self.end = status_of(frame.trailers_ref().unwrap()),
                None => self.end = Some(Ok(())),
            }
        }
    }

    fn take_in(&mut self, data: &Bytes) {
        self.buffer.extend_from_slice(data);
        while let Some(prefix) = self.buffer.get(1..5) {
            let length = u32::from_be_bytes(prefix.try_into().unwrap()) as usize;
            if self.buffer.len() < 5 + length {
                return;
            }
            self.buffer.advance(5);
            self.ready.push_back(self.buffer.split_to(length).freeze());
        }
    }
}
