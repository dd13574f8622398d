//! Between openraft's types and the messages of the peer protocol.

use std::collections::{BTreeMap, BTreeSet};

use api_proto::peer as pb;
use openraft::StoredMembership as Stored;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, TransferLeaderRequest, VoteRequest, VoteResponse};
use raft_state::port::{Kind, Refusing, WhyRefused};
use tonic::Status;

use crate::fence::Retired;
use crate::types::{
    Address, Commands, Entry, LeaderId, LogId, Membership, Payload, SnapshotMeta, StoredMembership, TypeConfig, Vote,
    log_id,
};

/// The version of the peer protocol spoken here. A peer with another one is refused.
pub const PROTOCOL: u32 = 1;

/// Makes the headers of outgoing messages and checks those of incoming ones.
#[derive(Clone, Debug)]
pub(crate) struct Letterhead {
    pub(crate) cluster: String,
    pub(crate) id: u64,
    /// Whose messages are refused.
    pub(crate) retired: Retired,
}

impl Letterhead {
    pub(crate) fn to(&self, peer: u64) -> Option<pb::Header> {
        Some(pb::Header { protocol: PROTOCOL, cluster: self.cluster.clone(), from: self.id, to: peer })
    }

    /// The sender, when the message is meant for us and we speak its language.
    pub(crate) fn check(&self, header: Option<&pb::Header>) -> Result<u64, Status> {
        let Some(header) = header else {
            return Err(Status::failed_precondition("a peer message without a header"));
        };
        check_cluster(&self.cluster, header.protocol, &header.cluster)?;
        if self.retired.contains(header.from) {
            return Err(Status::failed_precondition(format!("member {} was removed from this cluster", header.from)));
        }
        if header.to != self.id {
            return Err(Status::failed_precondition(format!("this is member {}, not {}", self.id, header.to)));
        }
        Ok(header.from)
    }
}

/// Refuses whoever speaks another protocol or belongs to another cluster.
pub(crate) fn check_cluster(ours: &str, protocol: u32, cluster: &str) -> Result<(), Status> {
    if protocol != PROTOCOL {
        return Err(Status::failed_precondition(format!(
            "peer protocol version {protocol} is not spoken here, only {PROTOCOL}"
        )));
    }
    if cluster != ours {
        return Err(Status::failed_precondition(format!("this member belongs to cluster {ours}, not to {cluster}")));
    }
    Ok(())
}

pub(crate) fn refusing_to(refusing: &Refusing) -> pb::Refusing {
    pb::Refusing { why: refusing.why.clone(), diverged: refusing.because == WhyRefused::Diverged }
}

pub(crate) fn refusing_from(refusing: &pb::Refusing) -> Refusing {
    let because = if refusing.diverged { WhyRefused::Diverged } else { WhyRefused::NoSpace };
    Refusing { because, why: refusing.why.clone() }
}

fn malformed(what: &str) -> Status {
    Status::invalid_argument(format!("a peer message without {what}"))
}

pub(crate) fn log_id_to(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
}

pub(crate) fn log_id_from(id: &pb::LogId) -> LogId {
    log_id(id.term, id.leader, id.index)
}

pub(crate) fn vote_to(vote: &Vote) -> pb::Ballot {
    pb::Ballot { term: vote.leader_id.term, candidate: vote.leader_id.node_id, granted_by_quorum: vote.committed }
}

pub(crate) fn vote_from(ballot: Option<&pb::Ballot>) -> Result<Vote, Status> {
    let ballot = ballot.ok_or_else(|| malformed("a vote"))?;
    Ok(Vote {
        leader_id: LeaderId { term: ballot.term, node_id: ballot.candidate },
        committed: ballot.granted_by_quorum,
    })
}

/// A member as a message says it.
pub(crate) fn member_to(id: u64, address: &Address) -> pb::Member {
    pb::Member {
        id,
        name: address.name.clone(),
        peer_address: address.peer.clone(),
        api_address: address.api.clone(),
        etcd_url: address.etcd.clone(),
        kind: kind_to(address.kind).into(),
        birth: address.birth,
    }
}

/// What a message says of a member beside its id.
pub(crate) fn address_from(member: &pb::Member) -> Address {
    Address {
        name: member.name.clone(),
        peer: member.peer_address.clone(),
        api: member.api_address.clone(),
        etcd: member.etcd_url.clone(),
        kind: kind_from(member.kind()),
        birth: member.birth,
    }
}

pub(crate) fn kind_to(kind: Kind) -> pb::MemberKind {
    match kind {
        Kind::Master => pb::MemberKind::Master,
        Kind::Standby => pb::MemberKind::Standby,
        Kind::Replica => pb::MemberKind::Replica,
        Kind::Leaving => pb::MemberKind::Leaving,
    }
}

pub(crate) fn kind_from(kind: pb::MemberKind) -> Kind {
    match kind {
        pb::MemberKind::Master => Kind::Master,
        pb::MemberKind::Standby => Kind::Standby,
        pb::MemberKind::Replica => Kind::Replica,
        pb::MemberKind::Leaving => Kind::Leaving,
    }
}

pub(crate) fn membership_to(membership: &Membership) -> pb::Membership {
    pb::Membership {
        voters: membership
            .get_joint_config()
            .iter()
            .map(|set| pb::VoterSet { ids: set.iter().copied().collect() })
            .collect(),
        members: membership.nodes().map(|(id, address)| member_to(*id, address)).collect(),
    }
}

pub(crate) fn membership_from(membership: &pb::Membership) -> Result<Membership, Status> {
    let voters: Vec<BTreeSet<u64>> = membership.voters.iter().map(|set| set.ids.iter().copied().collect()).collect();
    let members: BTreeMap<u64, Address> = membership.members.iter().map(|m| (m.id, address_from(m))).collect();
    if voters.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(voters, members).map_err(|e| Status::invalid_argument(format!("a membership that is none: {e}")))
}

pub(crate) fn entry_to(entry: &Entry) -> pb::Entry {
    let payload = match &entry.payload {
        Payload::Blank => None,
        Payload::Normal(commands) => Some(pb::entry::Payload::Commands(commands.0.clone())),
        Payload::Membership(membership) => Some(pb::entry::Payload::Membership(membership_to(membership))),
    };
    pb::Entry { id: Some(log_id_to(&entry.log_id)), payload }
}

pub(crate) fn entry_from(entry: pb::Entry) -> Result<Entry, Status> {
    let id = entry.id.ok_or_else(|| malformed("the id of an entry"))?;
    let payload = match entry.payload {
        None => Payload::Blank,
        Some(pb::entry::Payload::Commands(bytes)) => Payload::Normal(Commands(bytes)),
        Some(pb::entry::Payload::Membership(membership)) => Payload::Membership(membership_from(&membership)?),
    };
    Ok(Entry { log_id: log_id_from(&id), payload })
}

pub(crate) fn append_to(request: AppendEntriesRequest<TypeConfig>, header: Option<pb::Header>) -> pb::AppendRequest {
    pb::AppendRequest {
        header,
        leader: Some(vote_to(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_to),
        entries: request.entries.iter().map(entry_to).collect(),
        committed: request.leader_commit.as_ref().map(log_id_to),
    }
}

pub(crate) fn append_from(request: pb::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, Status> {
    Ok(AppendEntriesRequest {
        vote: vote_from(request.leader.as_ref())?,
        prev_log_id: request.previous.as_ref().map(log_id_from),
        entries: request.entries.into_iter().map(entry_from).collect::<Result<_, _>>()?,
        leader_commit: request.committed.as_ref().map(log_id_from),
    })
}

type AppendResult = Result<Option<LogId>, StreamAppendError<TypeConfig>>;

/// `end` goes with what is stored alone.
pub(crate) fn append_result_to(
    result: AppendResult,
    header: Option<pb::Header>,
    end: Option<LogId>,
) -> pb::AppendResponse {
    use pb::append_response::Result as R;
    let result = match result {
        Ok(upto) => R::Stored(pb::Stored { upto: upto.as_ref().map(log_id_to), end: end.as_ref().map(log_id_to) }),
        Err(StreamAppendError::Conflict(at)) => R::Conflict(log_id_to(&at)),
        Err(StreamAppendError::HigherVote(vote)) => R::Higher(vote_to(&vote)),
    };
    pb::AppendResponse { header, result: Some(result) }
}

/// Where the log of whoever answers ended before what it answers to.
pub(crate) fn append_end_from(response: &pb::AppendResponse) -> Option<LogId> {
    match &response.result {
        Some(pb::append_response::Result::Stored(stored)) => stored.end.as_ref().map(log_id_from),
        _ => None,
    }
}

pub(crate) fn append_result_from(response: pb::AppendResponse) -> Result<AppendResult, Status> {
    use pb::append_response::Result as R;
    Ok(match response.result.ok_or_else(|| malformed("a result"))? {
        R::Stored(stored) => Ok(stored.upto.as_ref().map(log_id_from)),
        R::Conflict(at) => Err(StreamAppendError::Conflict(log_id_from(&at))),
        R::Higher(vote) => Err(StreamAppendError::HigherVote(vote_from(Some(&vote))?)),
    })
}

pub(crate) fn vote_request_to(request: &VoteRequest<TypeConfig>, header: Option<pb::Header>) -> pb::VoteRequest {
    pb::VoteRequest {
        header,
        vote: Some(vote_to(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id_to),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(crate) fn vote_request_from(request: &pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Status> {
    let mut vote = VoteRequest::new(vote_from(request.vote.as_ref())?, request.last.as_ref().map(log_id_from));
    vote.leadership_transfer = request.leadership_transfer;
    Ok(vote)
}

pub(crate) fn vote_response_to(response: &VoteResponse<TypeConfig>, header: Option<pb::Header>) -> pb::VoteResponse {
    pb::VoteResponse {
        header,
        vote: Some(vote_to(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id_to),
    }
}

pub(crate) fn vote_response_from(response: &pb::VoteResponse) -> Result<VoteResponse<TypeConfig>, Status> {
    Ok(VoteResponse {
        vote: vote_from(response.vote.as_ref())?,
        vote_granted: response.granted,
        last_log_id: response.last.as_ref().map(log_id_from),
    })
}

pub(crate) fn transfer_to(
    request: &TransferLeaderRequest<TypeConfig>,
    header: Option<pb::Header>,
) -> pb::TransferLeaderRequest {
    pb::TransferLeaderRequest {
        header,
        leader: Some(vote_to(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(log_id_to),
    }
}

pub(crate) fn transfer_from(request: &pb::TransferLeaderRequest) -> Result<TransferLeaderRequest<TypeConfig>, Status> {
    Ok(TransferLeaderRequest::new(
        vote_from(request.leader.as_ref())?,
        request.to,
        request.last.as_ref().map(log_id_from),
    ))
}

pub(crate) fn snapshot_meta_to(meta: &SnapshotMeta, files: Vec<pb::SnapshotFile>) -> pb::SnapshotMeta {
    pb::SnapshotMeta {
        last: meta.last_log_id.as_ref().map(log_id_to),
        membership_at: meta.last_membership.log_id().as_ref().map(log_id_to),
        membership: Some(membership_to(meta.last_membership.membership())),
        files,
    }
}

pub(crate) fn snapshot_meta_from(meta: &pb::SnapshotMeta) -> Result<SnapshotMeta, Status> {
    let membership = meta.membership.as_ref().ok_or_else(|| malformed("the membership of a snapshot"))?;
    Ok(SnapshotMeta {
        last_log_id: meta.last.as_ref().map(log_id_from),
        last_membership: stored_membership(meta.membership_at.as_ref(), membership)?,
    })
}

pub(crate) fn stored_membership(
    at: Option<&pb::LogId>,
    membership: &pb::Membership,
) -> Result<StoredMembership, Status> {
    Ok(Stored::new(at.map(log_id_from), membership_from(membership)?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn letterhead() -> Letterhead {
        let retired = Retired::default();
        retired.set(&imbl::OrdSet::unit(9));
        Letterhead { cluster: "c1".to_owned(), id: 2, retired }
    }

    #[test]
    fn a_message_is_refused_with_what_is_wrong_about_it() {
        let good = pb::Header { protocol: PROTOCOL, cluster: "c1".to_owned(), from: 1, to: 2 };
        let check = |change: &dyn Fn(&mut pb::Header), expected: &str| {
            let mut header = good.clone();
            change(&mut header);
            let status = letterhead().check(Some(&header)).expect_err(expected);
            assert_eq!(status.code(), tonic::Code::FailedPrecondition);
            assert_eq!(status.message(), expected);
        };
        check(&|h| h.protocol = 7, "peer protocol version 7 is not spoken here, only 1");
        check(&|h| h.cluster = "c2".to_owned(), "this member belongs to cluster c1, not to c2");
        check(&|h| h.to = 3, "this is member 2, not 3");
        check(&|h| h.from = 9, "member 9 was removed from this cluster");
        assert_eq!(letterhead().check(Some(&good)).expect("a good header"), 1);
        assert!(letterhead().check(None).is_err());
    }

    #[test]
    fn entries_survive_the_wire() {
        let address = Address {
            name: "m1".to_owned(),
            peer: "h:1".to_owned(),
            kind: Kind::Standby,
            birth: 7,
            ..Address::default()
        };
        let membership = Membership::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, address)])).expect("valid");
        for payload in
            [Payload::Blank, Payload::Normal(Commands(Bytes::from_static(b"abc"))), Payload::Membership(membership)]
        {
            let entry = Entry { log_id: log_id(3, 1, 9), payload };
            assert_eq!(entry_from(entry_to(&entry)).expect("an entry"), entry);
        }
    }
}
