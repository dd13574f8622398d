//! A lean client of etcd's API: gRPC frames over hyper, few copies, many calls on a connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tests_e2e::client::Credentials;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// One connection; clones share it.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Outgoing>,
}

/// Requests: one message, or as many as are sent.
pub enum Outgoing {
    One(Option<Bytes>),
    Many(mpsc::UnboundedReceiver<Bytes>),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::One(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Many(queue) => queue.poll_recv(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::One(None))
    }
}

/// A message in its frame.
pub fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5 + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).expect("small messages"));
    message.encode(&mut bytes).expect("room was made");
    bytes.freeze()
}

impl Client {
    /// Connects, with TLS when there are credentials.
    pub async fn connect(address: SocketAddr, credentials: Option<&Credentials>) -> Result<Self> {
        let socket = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        socket.set_nodelay(true)?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(8 << 20)
            .keep_alive_interval(None::<Duration>);
        let sender = match credentials {
            None => {
                let (sender, connection) = builder.handshake(TokioIo::new(socket)).await?;
                tokio::spawn(connection);
                sender
            }
            Some(credentials) => {
                let (sender, connection) = builder.handshake(TokioIo::new(credentials.secure(socket).await?)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        Ok(Self { sender })
    }

    async fn send(&self, path: &'static str, body: Outgoing) -> Result<Incoming> {
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = Uri::from_maybe_shared(Bytes::from(format!("http://etcd{path}")))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        let mut sender = self.sender.clone();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        check(response.headers())?;
        Ok(response.into_body())
    }

    /// One message there, one message back, not decoded.
    pub async fn raw(&self, path: &'static str, request: Bytes) -> Result<Bytes> {
        let mut body = self.send(path, Outgoing::One(Some(request))).await?;
        let mut message = Bytes::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            match frame?.into_data() {
                Ok(data) if message.is_empty() => message = data,
                Ok(data) => message = [&message[..], &data[..]].concat().into(),
                Err(frame) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        check(trailers)?;
                    }
                }
            }
        }
        ensure!(message.len() >= 5, "an answer without a message");
        Ok(message.slice(5..))
    }

    /// As [`Client::raw`], decoded.
    pub async fn call<R: Message + Default>(&self, path: &'static str, request: &impl Message) -> Result<R> {
        Ok(R::decode(self.raw(path, framed(request)).await?)?)
    }

    /// A stream both ways, opened by its first requests: etcd sends no headers before it has something to answer.
    pub async fn stream(
        &self,
        path: &'static str,
        first: Vec<Bytes>,
    ) -> Result<(mpsc::UnboundedSender<Bytes>, Answers)> {
        let (requests, queue) = mpsc::unbounded_channel();
        for request in first {
            let _ = requests.send(request);
        }
        let body = self.send(path, Outgoing::Many(queue)).await?;
        Ok((requests, Answers { body, buffer: BytesMut::new() }))
    }
}

fn check(headers: &HeaderMap) -> Result<()> {
    match headers.get("grpc-status").map(HeaderValue::as_bytes) {
        None | Some(b"0") => Ok(()),
        Some(code) => bail!(
            "status {}: {}",
            String::from_utf8_lossy(code),
            headers.get("grpc-message").map_or("", |message| message.to_str().unwrap_or_default())
        ),
    }
}

/// The answers of a stream.
pub struct Answers {
    body: Incoming,
    buffer: BytesMut,
}

impl Answers {
    /// The next message, not decoded.
    pub async fn next(&mut self) -> Result<Bytes> {
        loop {
            if let Some(prefix) = self.buffer.get(1..5) {
                let length = u32::from_be_bytes(prefix.try_into()?) as usize;
                if self.buffer.len() >= 5 + length {
                    self.buffer.advance(5);
                    return Ok(self.buffer.split_to(length).freeze());
                }
            }
            let body = &mut self.body;
            let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await else {
                bail!("the stream ended");
            };
            match frame?.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => check(frame.trailers_ref().context("trailers")?)?,
            }
        }
    }
}
