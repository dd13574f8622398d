//! Watches, which go on at another master where they stopped.

use std::sync::Arc;

use api_proto::v1;
use tonic::{Request, Streaming};

use crate::Error;
use crate::error::may_pass;
use crate::masters::{Masters, Pauses};
use crate::store::store;

/// A watch.
#[derive(Debug)]
pub struct Watch {
    masters: Arc<Masters>,
    keys: v1::KeyRange,
    with_previous: bool,
    position: Position,
    stream: Option<(usize, Streaming<v1::WatchResponse>)>,
}

/// Where a watch stands, so that it can go on elsewhere.
#[derive(Debug, Default, PartialEq, Eq)]
struct Position {
    /// Every event up to here has come.
    progress: Option<u64>,
    /// Events beyond, of a revision that came in part: so many are skipped when it comes again.
    beyond: usize,
    skip: usize,
}

impl Position {
    /// The stream begins anew after `progress`.
    fn resume(&mut self) {
        self.skip = self.beyond;
    }

    /// Takes a message in; what is new of it.
    fn take(&mut self, mut message: v1::WatchResponse) -> Vec<v1::Event> {
        let known = self.skip.min(message.events.len());
        self.skip -= known;
        message.events.drain(..known);
        let revision = |event: &v1::Event| event.entry.as_ref().map_or(0, |entry| entry.mod_revision);
        if self.progress.is_none_or(|progress| message.progress > progress) {
            self.progress = Some(message.progress);
            self.beyond = 0;
        }
        let progress = self.progress.unwrap_or_default();
        self.beyond += message.events.iter().filter(|event| revision(event) > progress).count();
        message.events
    }
}

impl Watch {
    pub(crate) fn new(masters: Arc<Masters>, keys: v1::KeyRange, after: Option<u64>, with_previous: bool) -> Self {
        let position = Position { progress: after, ..Position::default() };
        Self { masters, keys, with_previous, position, stream: None }
    }

    /// Every event up to this revision has been returned. `None` before the first answer of a watch from now on.
    pub fn progress(&self) -> Option<u64> {
        self.position.progress
    }

    /// The next events, in order of their revisions; none when only [`Watch::progress`] has moved. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// [`Error::Compacted`] when the watch has fallen too far behind; what a master refuses for good. Masters that are
    /// away are waited for.
    pub async fn next(&mut self) -> Result<Vec<v1::Event>, Error> {
        let mut pauses = Pauses::of(&self.masters);
        loop {
            let status = match &mut self.stream {
                None => match self.open().await {
                    Ok(()) => continue,
                    Err(status) => status,
                },
                Some((number, stream)) => {
                    let status = match stream.message().await {
                        Ok(Some(message)) => return Ok(self.position.take(message)),
                        Ok(None) => tonic::Status::unavailable("the watch ended"),
                        Err(status) => status,
                    };
                    self.masters.leave(*number);
                    status
                }
            };
            self.stream = None;
            if !may_pass(&status) && status.code() != tonic::Code::DeadlineExceeded {
                return Err(status.into());
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    async fn open(&mut self) -> Result<(), tonic::Status> {
        let (number, channel) = self.masters.channel();
        let request = v1::WatchRequest {
            keys: Some(self.keys.clone()),
            after: self.position.progress,
            with_previous: self.with_previous,
        };
        self.position.resume();
        match store(channel).watch(Request::new(request)).await {
            Ok(response) => {
                self.stream = Some((number, response.into_inner()));
                Ok(())
            }
            Err(status) => {
                self.masters.leave(number);
                Err(status)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(progress: u64, events: &[(u64, &'static str)]) -> v1::WatchResponse {
        let event = |(revision, key): &(u64, &'static str)| v1::Event {
            entry: Some(v1::Entry { key: (*key).into(), mod_revision: *revision, ..Default::default() }),
            ..Default::default()
        };
        v1::WatchResponse { events: events.iter().map(event).collect(), progress }
    }

    fn keys(events: &[v1::Event]) -> Vec<String> {
        let key = |event: &v1::Event| String::from_utf8_lossy(&event.entry.as_ref().unwrap().key).into_owned();
        events.iter().map(key).collect()
    }

    #[test]
    fn a_revision_that_came_in_part_is_not_repeated() {
        let mut position = Position::default();
        assert_eq!(position.take(message(5, &[])), []);
        assert_eq!(keys(&position.take(message(6, &[(6, "a"), (7, "b")]))), ["a", "b"]);
        assert_eq!(keys(&position.take(message(6, &[(7, "c")]))), ["c"]);
        // Broken off in the middle of revision 7, which comes again from its beginning.
        position.resume();
        assert_eq!(keys(&position.take(message(6, &[(7, "b")]))), Vec::<String>::new());
        assert_eq!(keys(&position.take(message(8, &[(7, "c"), (7, "d"), (8, "e")]))), ["d", "e"]);
        assert_eq!(position, Position { progress: Some(8), beyond: 0, skip: 0 });
        // Broken off between revisions: nothing is skipped.
        position.resume();
        assert_eq!(keys(&position.take(message(9, &[(9, "f")]))), ["f"]);
    }

    #[test]
    fn what_is_broken_off_again_while_it_is_repeated_is_still_known() {
        let mut position = Position { progress: Some(1), ..Position::default() };
        position.take(message(1, &[(2, "a"), (2, "b"), (2, "c")]));
        position.resume();
        assert_eq!(keys(&position.take(message(1, &[(2, "a")]))), Vec::<String>::new());
        position.resume();
        assert_eq!(keys(&position.take(message(2, &[(2, "a"), (2, "b"), (2, "c"), (2, "d")]))), ["d"]);
    }
}
