//! `grpc.health.v1`: whether this member serves.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use raft_state::port::Standing;
use tokio::sync::watch;

use crate::Face;
use crate::grpc::{self, Source};
use crate::status::Status;

/// `grpc.health.v1.HealthCheckRequest`. Every service here is as healthy as the member.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthCheckResponse {
    /// SERVING or NOT_SERVING.
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

fn answer(standing: &Standing) -> HealthCheckResponse {
    HealthCheckResponse { status: if standing.ready { SERVING } else { NOT_SERVING } }
}

impl Face {
    pub(crate) fn health(&self) -> HealthCheckResponse {
        answer(&self.standing().borrow())
    }

    /// The health now, and whenever it changes.
    pub(crate) fn health_watch(&self) -> Box<dyn Source> {
        Box::new(Changes { standing: self.standing(), told: None, waiting: None })
    }
}

struct Changes {
    standing: watch::Receiver<Standing>,
    told: Option<HealthCheckResponse>,
    waiting: Option<BoxFuture<'static, watch::Receiver<Standing>>>,
}

impl Source for Changes {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                self.standing = std::task::ready!(waiting.poll_unpin(cx));
                self.waiting = None;
            }
            let now = answer(&self.standing.borrow_and_update());
            if self.told.as_ref() != Some(&now) {
                let mut out = BytesMut::new();
                grpc::append(&now, &mut out);
                self.told = Some(now);
                return Poll::Ready(Some(Ok(out.freeze())));
            }
            let mut standing = self.standing.clone();
            self.waiting = Some(Box::pin(async move {
                if standing.changed().await.is_err() {
                    // The member is gone, and the connection soon will be.
                    std::future::pending::<()>().await;
                }
                standing
            }));
        }
    }
}
