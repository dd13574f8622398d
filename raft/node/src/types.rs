//! The types that openraft is instantiated with.

use std::fmt;

use bytes::Bytes;
use openraft::alias::{CommittedLeaderIdOf, LogIdOf, StoredMembershipOf, VoteOf};
use openraft::impls::leader_id_adv;
use raft_state::port::{Kind, Member};
use serde::{Deserialize, Serialize};

openraft::declare_raft_types!(
    /// Leaders of one term are told apart by their id (`leader_id_adv`): of two candidates in a term the higher id
    /// wins the votes, so that elections do not split.
    pub(crate) TypeConfig:
        D = Commands,
        R = (),
        Node = Address,
        AsyncRuntime = crate::runtime::Runtime,
);

/// Encoded commands of one log entry. The log stores these bytes, peers exchange them, and only apply looks inside.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commands(pub(crate) Bytes);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What the membership holds of a member beside its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) name: String,
    pub(crate) peer: String,
    pub(crate) api: String,
    pub(crate) etcd: String,
    pub(crate) kind: Kind,
    /// Of a first member's data folder; 0 for whoever was given its id later.
    pub(crate) birth: u64,
}

impl From<&Member> for Address {
    fn from(member: &Member) -> Self {
        Self {
            name: member.name.clone(),
            peer: member.peer_address.clone(),
            api: member.api_address.clone(),
            etcd: member.etcd_url.clone(),
            kind: member.kind,
            birth: 0,
        }
    }
}

impl Address {
    /// Nobody yet: a place kept for whoever comes with this peer address.
    pub(crate) fn is_place(&self) -> bool {
        self.name.is_empty()
    }

    /// The member as the layers above see it.
    pub(crate) fn member(&self, id: u64, voter: bool) -> Member {
        Member {
            id,
            name: self.name.clone(),
            peer_address: self.peer.clone(),
            api_address: self.api.clone(),
            etcd_url: self.etcd.clone(),
            voter,
            kind: self.kind,
        }
    }
}

pub(crate) type LeaderId = leader_id_adv::LeaderId<u64, u64>;
pub(crate) type LogId = LogIdOf<TypeConfig>;
pub(crate) type Vote = VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::EntryPayload<Commands, u64, Address>;
pub(crate) type Membership = openraft::Membership<u64, Address>;
pub(crate) type StoredMembership = StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Fatal = openraft::error::Fatal<TypeConfig>;
pub(crate) type Raft = openraft::Raft<TypeConfig, crate::machine::Machine>;

/// Builds a log id from its numbers.
pub(crate) fn log_id(term: u64, leader: u64, index: u64) -> LogId {
    let leader: CommittedLeaderIdOf<TypeConfig> = LeaderId { term, node_id: leader };
    LogId { leader_id: leader, index }
}
