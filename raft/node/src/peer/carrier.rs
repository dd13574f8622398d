//! A way to a peer: a connection, or what the simulator puts in its place.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt, TryFutureExt};
use tonic::transport::Channel;
use tower::Service;

use crate::ground::{Answer, Call, Ground};

/// Carries calls to one peer. Clones share the connection.
#[derive(Clone)]
pub(crate) enum Carrier {
    /// A connection with TLS.
    Connection(Channel),
    /// A way over somebody else's ground: to an address, in a lane.
    Ground(Arc<dyn Ground>, String, usize),
}

impl Service<Call> for Carrier {
    type Response = Answer;
    type Error = tonic::codegen::StdError;
    type Future = BoxFuture<'static, Result<Answer, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self {
            Self::Connection(channel) => channel.poll_ready(context).map_err(Into::into),
            Self::Ground(..) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self {
            Self::Connection(channel) => channel.call(call).map_err(Into::into).boxed(),
            Self::Ground(ground, address, lane) => ground.call(address, *lane, call).map_err(Into::into).boxed(),
        }
    }
}
