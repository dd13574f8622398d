//! The administrative port: what any member can be asked about the membership, and told. Orders travel to the leader and
//! are tried again through elections until the deadline; each is idempotent.

use std::sync::{Arc, Weak};
use std::time::Duration;

use api_proto::peer as pb;
use pb::administer_request::Order;
use pb::administer_response::Result as Answer;
use raft_state::port::{Kind, Member, Standing, Store};
use raft_state::{Command, Outcome};
use tokio::sync::watch;
use tokio::time::Instant;

use super::orders::Orders;
use crate::leader::LeaderView;
use crate::peer::dial::{Dialer, Lane};
use crate::types::Address;
use crate::wire;

/// Before an order that found no leader, or came at a bad moment, is given again.
const RETRY: Duration = Duration::from_millis(20);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(6);

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// There is no such member.
    #[error("{0}")]
    Unknown(String),
    /// It makes no sense, or is not safe now; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// No leader carried it out in time. It may still be.
    #[error("not done in time, and it may still be: {0}")]
    DeadlineExceeded(String),
    /// This member is stopping.
    #[error("this member is stopping")]
    Stopping,
}

/// Where the cluster stands, by its leader's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Who leads.
    pub leader: u64,
    /// Its term.
    pub term: u64,
    /// Entries in its log.
    pub last_index: u64,
    /// The voters are changing just now.
    pub changing: bool,
    /// By id.
    pub members: Vec<MemberStatus>,
}

/// Where one member stands, by the leader's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberStatus {
    /// Who it is.
    pub member: Member,
    /// Entries of the leader's log that it has.
    pub matched_index: u64,
    /// Since it last answered the leader.
    pub silent: Duration,
    /// What it waits for; empty when for nothing.
    pub note: String,
}

/// Gives orders, from any member.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) id: u64,
    pub(crate) orders: Arc<Orders>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) leader: watch::Receiver<LeaderView>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) store: Weak<dyn Store>,
}

impl Admin {
    pub(crate) async fn status(&self, deadline: Instant) -> Result<ClusterStatus, AdminError> {
        match self.order(Order::Status(true), deadline).await? {
            Answer::Status(status) => Ok(status_from(status)),
            other => Err(AdminError::Refused(format!("an answer to another question: {other:?}"))),
        }
    }

    /// Gives a new member an id that nobody has had, or that was kept for it, and takes it in as a learner. One without a
    /// name is a place kept for whoever comes with its peer address.
    pub(crate) async fn add(&self, member: &Member, deadline: Instant) -> Result<u64, AdminError> {
        let address = Address::from(member);
        // Asked first, so that a refusal costs no id.
        if let Answer::Reserved(id) = self.order(Order::Add(wire::member_to(0, &address)), deadline).await? {
            return Ok(id);
        }
        let id = self.mint(deadline).await?;
        self.order(Order::Add(wire::member_to(id, &address)), deadline).await?;
        Ok(id)
    }

    async fn mint(&self, deadline: Instant) -> Result<u64, AdminError> {
        let store = self.store.upgrade().ok_or(AdminError::Stopping)?;
        let minted = store.propose(vec![Command::MintMember], deadline.into_std()).await;
        match minted.as_deref() {
            Ok([Outcome::MemberMinted { id }]) => Ok(*id),
            Ok(other) => Err(AdminError::Refused(format!("minting an id came to {other:?}"))),
            Err(e) => Err(AdminError::DeadlineExceeded(e.to_string())),
        }
    }

    /// Says where a member is to be reached, and waits until this member sees it so.
    pub(crate) async fn set_address(&self, id: u64, peer: &str, deadline: Instant) -> Result<(), AdminError> {
        let order = pb::AddressOrder { id, peer_address: peer.to_owned() };
        self.order(Order::Address(order), deadline).await?;
        let reached =
            |standing: &Standing| standing.members.iter().find(|m| m.id == id).is_none_or(|m| m.peer_address == peer);
        self.seen(reached, deadline).await
    }

    /// Says what a member is meant to be, and waits until it is, or is known to wait. A word about what it waits for.
    pub(crate) async fn set_kind(&self, id: u64, kind: Kind, deadline: Instant) -> Result<String, AdminError> {
        let order = pb::KindOrder { id, kind: wire::kind_to(kind).into() };
        let answer = self.order(Order::Kind(order), deadline).await?;
        let Answer::Done(note) = answer else { return Ok(String::new()) };
        if note.is_empty() {
            self.settled(id, kind, deadline).await?;
        }
        Ok(note)
    }

    /// Waits until the membership is as the wish wants it, as this member sees it.
    async fn settled(&self, id: u64, kind: Kind, deadline: Instant) -> Result<(), AdminError> {
        let reached = |standing: &Standing| {
            let member = standing.members.iter().find(|m| m.id == id);
            match kind {
                // Of its own removal a member hears nothing more once it does not vote.
                Kind::Leaving => member.is_none_or(|m| id == self.id && !m.voter),
                Kind::Master => member.is_some_and(|m| m.voter),
                Kind::Standby | Kind::Replica => member.is_some_and(|m| !m.voter),
            }
        };
        self.seen(reached, deadline).await
    }

    async fn seen(&self, reached: impl FnMut(&Standing) -> bool, deadline: Instant) -> Result<(), AdminError> {
        let mut standing = self.standing.clone();
        match tokio::time::timeout_at(deadline, standing.wait_for(reached)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(AdminError::Stopping),
            Err(_) => Err(AdminError::DeadlineExceeded("the order is in the log, and autopilot is at it".to_owned())),
        }
    }

    /// Hands leadership to a member, and waits until it leads.
    pub(crate) async fn transfer(&self, to: u64, deadline: Instant) -> Result<(), AdminError> {
        let mut standing = self.standing.clone();
        loop {
            self.order(Order::Transfer(to), deadline).await?;
            // A transfer is a letter, not a call.
            let attempt = deadline.min(Instant::now() + Duration::from_secs(1));
            match tokio::time::timeout_at(attempt, standing.wait_for(|s| s.leader == Some(to))).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(_)) => return Err(AdminError::Stopping),
                Err(_) if Instant::now() < deadline => {}
                Err(_) => return Err(AdminError::DeadlineExceeded("the successor has not taken over".to_owned())),
            }
        }
    }

    /// This member has been told to leave, and has stopped serving.
    pub(crate) async fn leave(&self, deadline: Instant) -> Result<(), AdminError> {
        self.order(Order::Left(self.id), deadline).await.map(drop)
    }

    /// This member is damaged, and asks whether it may step back now.
    pub(crate) async fn retreat(&self, deadline: Instant) -> Result<(), AdminError> {
        self.order(Order::Retreat(self.id), deadline).await.map(drop)
    }

    /// Takes an order to the leader, whoever that is, until it is carried out or refused.
    async fn order(&self, order: Order, deadline: Instant) -> Result<Answer, AdminError> {
        let mut leader = self.leader.clone();
        let mut obstacle = "nobody leads".to_owned();
        loop {
            let view = leader.borrow_and_update().clone();
            let attempt = deadline.min(Instant::now() + ATTEMPT);
            let answer = match view.leader {
                None => None,
                Some(id) if id == self.id => Some(self.orders.carry_out(order.clone()).await),
                Some(id) => self.ask(id, &view.address, &order, attempt).await,
            };
            match answer {
                Some(Answer::Refused(why)) => return Err(AdminError::Refused(why)),
                Some(Answer::Unknown(why)) => return Err(AdminError::Unknown(why)),
                Some(Answer::Later(why)) => obstacle = why,
                Some(answer) => return Ok(answer),
                None => {}
            }
            if Instant::now() >= deadline {
                return Err(AdminError::DeadlineExceeded(obstacle));
            }
            if let Ok(Err(_)) = tokio::time::timeout(RETRY, leader.changed()).await {
                return Err(AdminError::Stopping);
            }
        }
    }

    async fn ask(&self, leader: u64, address: &str, order: &Order, until: Instant) -> Option<Answer> {
        let mut client = self.dialer.client(leader, address, Lane::Control).ok()?;
        let patience = until.saturating_duration_since(Instant::now());
        let request = pb::AdministerRequest {
            header: self.dialer.letterhead.to(leader),
            timeout_ms: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
            order: Some(order.clone()),
        };
        let response = tokio::time::timeout(patience, client.administer(request)).await.ok()?.ok()?.into_inner();
        self.dialer.letterhead.check(response.header.as_ref()).ok()?;
        response.result
    }
}

fn status_from(status: pb::ClusterStatus) -> ClusterStatus {
    let member = |m: pb::MemberStatus| {
        let known = m.member.unwrap_or_default();
        MemberStatus {
            member: wire::address_from(&known).member(known.id, m.voter),
            matched_index: m.matched_index,
            silent: Duration::from_millis(m.silent_ms),
            note: m.note,
        }
    };
    ClusterStatus {
        leader: status.leader,
        term: status.term,
        last_index: status.last_index,
        changing: status.changing,
        members: status.members.into_iter().map(member).collect(),
    }
}
