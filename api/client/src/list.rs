//! Lists, which go on at another master where they stopped.

use std::sync::Arc;

use api_proto::v1;
use bytes::Bytes;
use tonic::Streaming;

use crate::error::may_pass;
use crate::masters::{Masters, Repeat};
use crate::store::store;
use crate::{Error, Freshness};

/// A list in progress.
#[derive(Debug)]
pub struct List {
    masters: Arc<Masters>,
    prefix: Bytes,
    freshness: Freshness,
    /// The last key received.
    last: Option<Bytes>,
    revision: Option<u64>,
    stream: Option<Streaming<v1::ListResponse>>,
    ended: bool,
}

impl List {
    pub(crate) fn new(masters: Arc<Masters>, prefix: Bytes, freshness: Freshness) -> Self {
        Self { masters, prefix, freshness, last: None, revision: None, stream: None, ended: false }
    }

    /// The revision of what is listed, as soon as something has come.
    pub fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// The next entries, in key order; `None` at the end.
    ///
    /// # Errors
    /// As a read's. A list that was interrupted for so long that its revision was compacted ends with
    /// [`Error::Compacted`].
    pub async fn next(&mut self) -> Result<Option<Vec<v1::Entry>>, Error> {
        let until = self.masters.until();
        while !self.ended {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => {
                    let opened = self.open().await?;
                    self.stream.insert(opened)
                }
            };
            match stream.message().await {
                Ok(Some(message)) => {
                    self.revision = Some(message.revision);
                    if let Some(entry) = message.entries.last() {
                        self.last = Some(entry.key.clone());
                        return Ok(Some(message.entries));
                    }
                }
                Ok(None) => self.ended = true,
                Err(status) if may_pass(&status) && std::time::Instant::now() < until => {
                    self.masters.leave(self.masters.channel().0);
                    self.stream = None;
                }
                Err(status) => return Err(status.into()),
            }
        }
        Ok(None)
    }

    /// Everything that is left.
    ///
    /// # Errors
    /// As [`List::next`].
    pub async fn collect(mut self) -> Result<(Vec<v1::Entry>, u64), Error> {
        let mut all = Vec::new();
        while let Some(entries) = self.next().await? {
            all.extend(entries);
        }
        Ok((all, self.revision.unwrap_or_default()))
    }

    async fn open(&self) -> Result<Streaming<v1::ListResponse>, Error> {
        let mut keys = crate::store::prefix(self.prefix.clone());
        if let Some(last) = &self.last {
            // The first key after the last one that came.
            let mut start = last.to_vec();
            start.push(0);
            keys = v1::KeyRange { start: start.into(), end: Some(end_of(&self.prefix)) };
        }
        let freshness = self.revision.map_or(self.freshness, Freshness::Exact);
        let request = v1::ListRequest { keys: Some(keys), freshness: Some(freshness.into()), ..Default::default() };
        let send = |channel, mut request: tonic::Request<_>| async move {
            // A deadline of the call would end the stream with it.
            request.metadata_mut().remove("grpc-timeout");
            store(channel).list(request).await
        };
        self.masters.call(Repeat::Freely, request, send).await
    }
}

/// Where the keys with a prefix end.
fn end_of(prefix: &[u8]) -> v1::key_range::End {
    match prefix.iter().rposition(|byte| *byte != u8::MAX) {
        None => v1::key_range::End::ToLast(true),
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            v1::key_range::End::Before(end.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_prefix_ends_where_the_prefix_does() {
        let before = |end: &'static [u8]| v1::key_range::End::Before(Bytes::from_static(end));
        assert_eq!(end_of(b"ab"), before(b"ac"));
        assert_eq!(end_of(b"a\xff"), before(b"b"));
        assert_eq!(end_of(b"\xff"), v1::key_range::End::ToLast(true));
        assert_eq!(end_of(b""), v1::key_range::End::ToLast(true));
    }
}
