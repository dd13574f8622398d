//! Messages out of request bodies.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures::future::poll_fn;
use http_body::Body;
use prost::Message;

use super::frame;
use crate::status::{Code, Status};

/// The one message of a unary call, not decoded. Whole in one piece of the body it is not copied.
pub(crate) async fn unary<B>(body: B) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    let mut requests = Requests::new(body);
    match poll_fn(|cx| requests.poll_bytes(cx)).await {
        Some(message) => message,
        None => Err(Status::new(Code::Internal, "grpc: the request holds no message")),
    }
}

/// The messages of a stream.
pub(crate) struct Requests<B> {
    body: B,
    buffer: Bytes,
    ended: bool,
}

impl<B> Requests<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    pub(crate) fn new(body: B) -> Self {
        Self { body, buffer: Bytes::new(), ended: false }
    }

    /// The next message; `None` when the client has said all it had to say. Dropping the future loses nothing.
    pub(crate) async fn next<M: Message + Default>(&mut self) -> Option<Result<M, Status>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next message, when it is there already.
    pub(crate) fn poll_next<M: Message + Default>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<M, Status>>> {
        self.poll_bytes(cx).map(|next| next.map(|bytes| bytes.and_then(frame::decode)))
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            match frame::take(&mut self.buffer) {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) if self.ended => return Poll::Ready(None),
                Ok(None) => {}
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => self.ended = true,
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take_in(data);
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(Status::new(Code::Canceled, error.to_string()))));
                }
            }
        }
    }

    fn take_in(&mut self, data: Bytes) {
        if !self.buffer.has_remaining() {
            self.buffer = data;
            return;
        }
        // Unique unless messages of the same piece are still held.
        let held = std::mem::take(&mut self.buffer);
        let mut joined = held.try_into_mut().unwrap_or_else(|held| BytesMut::from(&held[..]));
        joined.extend_from_slice(&data);
        self.buffer = joined.freeze();
    }
}
