//! The heartbeats of one leader to one peer, on a stream that stays open from one to the next: opening one for each would cost
//! more than all else about them.
//!
//! openraft gives a heartbeat up when its answer takes longer than the time between two. Where the way there and back is longer
//! than that, no heartbeat would ever count as answered, or even leave, if each waited for its own stream or its own answer.
//! So each takes the latest answer that is there when it has been sent: who asks when a quorum followed is told by
//! [`Answers`](super::answers::Answers), which knows what each answer was to.

use std::collections::VecDeque;

use api_proto::peer as pb;
use tonic::Status;

use crate::peer::answers::Moment;
use crate::peer::dial::Client;
use crate::peer::exchange::Exchange;
use crate::types::LeaderId;

/// See the module.
pub(crate) struct Beats {
    leader: LeaderId,
    stream: Exchange<pb::AppendRequest, pb::AppendResponse>,
    /// When those left that have no answer yet.
    sent: VecDeque<Moment>,
}

/// An answer, and what it is to.
pub(crate) struct Pulse {
    pub(crate) answer: pb::AppendResponse,
    pub(crate) leader: LeaderId,
    pub(crate) sent: Moment,
    /// Whether something was sent since.
    pub(crate) is_late: bool,
}

impl Beats {
    /// Opens a stream. It belongs to one leader.
    pub(crate) fn begin(mut client: Client, leader: LeaderId) -> Self {
        let stream = Exchange::begin(|requests| async move { client.append(requests).await });
        Self { leader, stream, sent: VecDeque::new() }
    }

    /// Whether it is of this leader.
    pub(crate) fn is_of(&self, leader: LeaderId) -> bool {
        self.leader == leader
    }

    /// Sends one.
    pub(crate) fn send(&mut self, message: pb::AppendRequest, now: Moment) -> Result<(), Status> {
        self.stream.send(message)?;
        self.sent.push_back(now);
        Ok(())
    }

    /// The next answer.
    pub(crate) async fn next(&mut self) -> Result<Pulse, Status> {
        let answer = self.stream.next().await?;
        self.pulse(answer)
    }

    /// The next answer, if it is there already.
    pub(crate) fn ready(&mut self) -> Option<Result<Pulse, Status>> {
        let answer = self.stream.ready()?;
        Some(answer.and_then(|answer| self.pulse(answer)))
    }

    fn pulse(&mut self, answer: pb::AppendResponse) -> Result<Pulse, Status> {
        let sent = self.sent.pop_front().ok_or_else(|| Status::internal("an answer to nothing"))?;
        Ok(Pulse { answer, leader: self.leader, sent, is_late: !self.sent.is_empty() })
    }
}
