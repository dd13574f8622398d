//! A stream of watch events.

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::Error;

/// Events of a watch, in order.
pub struct Watch {
    body: Incoming,
    pending: BytesMut,
    /// Bytes of `pending` that hold no line end.
    searched: usize,
}

impl Watch {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, pending: BytesMut::new(), searched: 0 }
    }

    /// The next event, `{"type": …, "object": …}`; `None` when the server has ended the watch.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Value>, Error> {
        loop {
            if let Some(found) = self.pending[self.searched..].iter().position(|b| *b == b'\n') {
                let line = self.pending.split_to(self.searched + found);
                self.pending.advance(1);
                self.searched = 0;
                return serde_json::from_slice(&line).map(Some).map_err(|error| Error::Malformed(error.to_string()));
            }
            self.searched = self.pending.len();
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Error::broken(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.pending.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
