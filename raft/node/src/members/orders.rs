//! What the leader answers to questions and orders about the membership.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_proto::peer as pb;
use openraft::ChangeMembers;
use pb::administer_request::Order;
use pb::administer_response::Result as Answer;
use raft_state::port::Kind;

use super::decide::Autopilot;
use super::observe::{Observatory, Observed, matched};
use super::pilot::{Changes, NotNow};
use super::wish::{self, Verdict};
use crate::fence::Retired;
use crate::retreat::Leave;
use crate::types::{Address, Raft};
use crate::wire;

/// Carries orders out while this member leads.
pub(crate) struct Orders {
    pub(crate) raft: Raft,
    pub(crate) changes: Arc<Changes>,
    pub(crate) observatory: Arc<Observatory>,
    pub(crate) retired: Retired,
    pub(crate) policy: Autopilot,
    /// Who may step back: one at a time.
    pub(crate) leave: Leave,
}

impl Orders {
    /// Answers one.
    pub(crate) async fn carry_out(&self, order: Order) -> Answer {
        let Some(seen) = self.observatory.look() else {
            return Answer::Later("this member does not lead".to_owned());
        };
        match order {
            Order::Status(_) => Answer::Status(self.status(&seen)),
            Order::Add(member) => self.add(&seen, &member).await,
            Order::Kind(order) => self.set_kind(&seen, order.id, wire::kind_from(order.kind())).await,
            Order::Transfer(to) => self.transfer(&seen, to).await,
            Order::Left(id) => self.left(&seen, id).await,
            Order::Address(order) => self.set_address(&seen, order.id, order.peer_address).await,
            Order::Retreat(id) => match self.leave.take(id) {
                true => Answer::Done(String::new()),
                false => Answer::Refused("another member is stepping back".to_owned()),
            },
        }
    }

    fn status(&self, seen: &Observed) -> pb::ClusterStatus {
        let view = &seen.view;
        let members = seen.metrics.membership_config.membership().nodes().map(|(id, address)| pb::MemberStatus {
            member: Some(wire::member_to(*id, address)),
            voter: view.is_voter(*id),
            matched_index: matched(&seen.metrics, *id),
            silent_ms: view.members.get(id).map_or(0, |seen| millis(seen.silent)),
            note: wish::waiting(view, &self.policy, *id).unwrap_or_default(),
        });
        pb::ClusterStatus {
            leader: view.leader,
            term: seen.metrics.current_term,
            last_index: seen.metrics.last_log_index.map_or(0, |index| index + 1),
            changing: view.joint,
            members: members.collect(),
        }
    }

    /// Takes a member in as a learner; one without an id asks whether it may come, and takes the place kept for it if there is.
    async fn add(&self, seen: &Observed, member: &pb::Member) -> Answer {
        let (id, mut address) = (member.id, wire::address_from(member));
        address.birth = 0;
        if self.retired.contains(id) {
            return Answer::Refused(format!("id {id} was removed from the cluster and is not used again"));
        }
        if seen.view.members.contains_key(&id) {
            return Answer::Done(String::new());
        }
        // Whoever begins anew on the same machine takes the old one's place, but not while that one lives.
        let rival = seen.view.members.iter().find(|(other, known)| {
            !address.is_place()
                && known.name == address.name
                && known.kind != Kind::Leaving
                && seen.view.is_fresh(**other, &self.policy)
        });
        if let Some((other, known)) = rival {
            return Answer::Refused(format!(
                "{} is alive as member {other}: stop it first, or choose another name",
                known.name
            ));
        }
        let here = seen.metrics.membership_config.membership().nodes().find(|(_, known)| known.peer == address.peer);
        match here {
            // Taken at once, by one only: whoever else comes from there, this same one after a lost answer too, gets an id of its own.
            Some((place, known)) if id == 0 && known.is_place() && !address.is_place() => {
                let (place, kind) = (*place, if address.kind == Kind::Replica { address.kind } else { known.kind });
                let taken = self.changes.describe(place, Address { kind, ..address }, seen.at).await;
                return taken.map_or_else(|NotNow(why)| Answer::Later(why), |()| Answer::Reserved(place));
            }
            Some(_) if address.is_place() => {
                return Answer::Refused(format!("{} is a member's address already", address.peer));
            }
            _ => {}
        }
        if id == 0 {
            return Answer::Done(String::new());
        }
        let nodes = BTreeMap::from([(id, address)]);
        made(self.changes.make(ChangeMembers::AddNodes(nodes), seen.at).await, String::new())
    }

    async fn set_kind(&self, seen: &Observed, id: u64, kind: Kind) -> Answer {
        let address = seen.metrics.membership_config.membership().get_node(&id).cloned();
        match (wish::judge(&seen.view, &self.policy, id, kind), address) {
            (Verdict::Already, _) => Answer::Done(String::new()),
            (Verdict::Refused(why), _) => Answer::Refused(why),
            (Verdict::Unknown, _) | (_, None) => self.unknown(seen, id, kind),
            (Verdict::Set(note), Some(address)) => {
                let address = Address { kind, ..address };
                made(self.changes.describe(id, address, seen.at).await, note.unwrap_or_default())
            }
        }
    }

    async fn set_address(&self, seen: &Observed, id: u64, peer: String) -> Answer {
        let membership = seen.metrics.membership_config.membership();
        let Some(known) = membership.get_node(&id).cloned() else { return self.unknown(seen, id, Kind::Master) };
        if known.peer == peer {
            return Answer::Done(String::new());
        }
        if membership.nodes().any(|(_, other)| other.peer == peer) {
            return Answer::Refused(format!("{peer} is a member's address already"));
        }
        made(self.changes.describe(id, Address { peer, ..known }, seen.at).await, String::new())
    }

    fn unknown(&self, seen: &Observed, id: u64, kind: Kind) -> Answer {
        // Who is over is known once the membership is applied.
        if seen.metrics.last_applied < seen.at {
            return Answer::Later("the membership is changing".to_owned());
        }
        if self.retired.contains(id) && kind == Kind::Leaving {
            return Answer::Done(String::new());
        }
        Answer::Unknown(format!("the cluster has no member {id}"))
    }

    async fn transfer(&self, seen: &Observed, to: u64) -> Answer {
        let Some(known) = seen.view.members.get(&to) else { return self.unknown(seen, to, Kind::Master) };
        if to == seen.view.leader {
            return Answer::Done(String::new());
        }
        if !known.voter {
            return Answer::Refused(format!("{} does not vote, so it cannot lead", known.name));
        }
        if !seen.view.is_fresh(to, &self.policy) {
            return Answer::Refused(format!("{} does not answer", known.name));
        }
        match self.raft.trigger().transfer_leader(to).await {
            Ok(()) => Answer::Done(String::new()),
            Err(e) => Answer::Later(e.to_string()),
        }
    }

    /// A member that was leaving says that it has stopped serving.
    async fn left(&self, seen: &Observed, id: u64) -> Answer {
        let Some(known) = seen.view.members.get(&id) else { return Answer::Done(String::new()) };
        if known.kind != Kind::Leaving {
            return Answer::Refused(format!("{} is not leaving: trireme cluster remove {}", known.name, known.name));
        }
        if known.voter {
            return Answer::Later(format!("{} still votes", known.name));
        }
        made(self.changes.make(ChangeMembers::RemoveNodes([id].into()), seen.at).await, String::new())
    }
}

fn made(change: Result<(), NotNow>, note: String) -> Answer {
    match change {
        Ok(()) => Answer::Done(note),
        Err(NotNow(why)) => Answer::Later(why),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
