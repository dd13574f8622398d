//! gRPC over HTTP/2, as much of it as servers need: frames, statuses, timeouts.
//!
//! Source: the gRPC project's "gRPC over HTTP2".

mod body;
mod frame;
mod metadata;
mod requests;

pub use body::Body;
pub(crate) use body::{Source, status_response, stream_response, unary_response};
pub(crate) use frame::{MESSAGE_MAX, PREFIX, append, decode};
pub(crate) use metadata::{require_leader, timeout};
pub(crate) use requests::{Requests, unary};
