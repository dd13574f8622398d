//! Responses: messages, then trailers with the status.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Frame, SizeHint};
use prost::Message;

use super::frame;
use crate::status::{Code, Status};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Where the frames of a streamed response come from.
pub(crate) trait Source: Send {
    /// The next bytes, of whole frames; `None` at a good end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>>;
}

/// The body of a response.
pub struct Body(Inner);

enum Inner {
    Done,
    /// Bytes and no trailers: a plain page.
    Plain(Bytes),
    /// One message, then success.
    Message(Bytes),
    /// Only the trailers are left.
    Trailers(HeaderMap),
    Stream(Box<dyn Source>),
}

impl Body {
    /// A page that is no gRPC.
    pub(crate) fn plain(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Plain(bytes.into()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, next) = match std::mem::replace(&mut self.0, Inner::Done) {
            Inner::Done => return Poll::Ready(None),
            Inner::Plain(bytes) => (Frame::data(bytes), Inner::Done),
            Inner::Message(bytes) => (Frame::data(bytes), Inner::Trailers(success())),
            Inner::Trailers(trailers) => (Frame::trailers(trailers), Inner::Done),
            Inner::Stream(mut source) => match source.poll_next(cx) {
                Poll::Pending => {
                    self.0 = Inner::Stream(source);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(bytes))) => (Frame::data(bytes), Inner::Stream(source)),
                Poll::Ready(Some(Err(status))) => (Frame::trailers(trailers(&status)), Inner::Done),
                Poll::Ready(None) => (Frame::trailers(success()), Inner::Done),
            },
        };
        self.0 = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Done | Inner::Trailers(_) => SizeHint::with_exact(0),
            Inner::Plain(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Message(_) | Inner::Stream(_) => SizeHint::default(),
        }
    }
}

fn success() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    write_status(status, &mut trailers);
    trailers
}

fn write_status(status: &Status, headers: &mut HeaderMap) {
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(status.code as u8)));
    if status.code != Code::Ok {
        headers.insert(GRPC_MESSAGE, percent_encoded(&status.message));
    }
}

/// As gRPC writes texts into headers: printable ASCII but for the percent sign stands for itself.
fn percent_encoded(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::from_str(&encoded).expect("printable ASCII")
}

fn respond(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// One message, or a status.
pub(crate) fn unary_response(result: Result<impl Message, Status>) -> Response<Body> {
    match result {
        Ok(message) => {
            let mut bytes = BytesMut::new();
            frame::append(&message, &mut bytes);
            respond(Body(Inner::Message(bytes.freeze())))
        }
        Err(status) => status_response(&status),
    }
}

/// A status alone.
pub(crate) fn status_response(status: &Status) -> Response<Body> {
    let mut response = respond(Body(Inner::Done));
    write_status(status, response.headers_mut());
    response
}

/// Many messages.
pub(crate) fn stream_response(source: Box<dyn Source>) -> Response<Body> {
    respond(Body(Inner::Stream(source)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_percent_encoded() {
        let check = |text: &str, expected: &str| assert_eq!(percent_encoded(text), expected, "{text}");
        check("etcdserver: no leader", "etcdserver: no leader");
        check("100% ä\n", "100%25 %C3%A4%0A");
    }
}
