//! Which member this is: settled before Raft begins, and remembered in the data folder.
//!
//! A voter that has lost its memory must not vote again under its old id. So an id belongs to a *folder*: each draws a
//! number at random when it is first used, its birth, and the membership of a new cluster records the births of its first
//! members. An empty folder asks around:
//! - all first members are there and as empty: a new cluster begins, with these births;
//! - a cluster has begun, and its record holds this folder's birth: this is that first member, a little late;
//! - a cluster has begun without this folder, so it was emptied since: this member asks for a new id and begins as a
//!   learner. Its certificate says that it may.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use api_proto::peer as pb;
use futures::future::join_all;
use raft_log::Identity;
use raft_state::port::Member;
use tonic::Code;

use crate::config::NodeConfig;
use crate::peer::dial::Dialer;
use crate::simulated::{Dice, blocking};
use crate::types::Address;
use crate::wire::{self, PROTOCOL};

/// Between rounds of questions.
const ROUND: Duration = Duration::from_millis(50);
/// How long a question may take; an answer needs no disk.
const ANSWER: Duration = Duration::from_millis(500);
/// How long being taken in may take: the leader commits it.
const ENLIST: Duration = Duration::from_secs(10);
/// Between words to people about what is waited for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What came of it.
pub(crate) struct Admission {
    pub(crate) identity: Identity,
    /// The first members of the cluster that is to begin, when it is to.
    pub(crate) begins: Option<BTreeMap<u64, Address>>,
}

/// The identity of a folder, with its birth drawn at the first use. Blocks.
pub(crate) fn remembered(folder: &Path, config: &NodeConfig, log_is_empty: bool) -> std::io::Result<Identity> {
    if let Some(mut known) = Identity::read(folder)? {
        // A folder that a restore made belongs, from its first start on, to this cluster and this member.
        let before = known.clone();
        if known.cluster.is_empty() {
            known.cluster.clone_from(&config.cluster_id);
        }
        if known.member == 0 && !log_is_empty {
            known.member = config.id;
        }
        if known != before {
            known.write(folder)?;
        }
        return Ok(known);
    }
    let member = if log_is_empty && !config.was_admitted() { 0 } else { config.id };
    let identity = Identity { cluster: config.cluster_id.clone(), member, birth: Dice.id() };
    identity.write(folder)?;
    Ok(identity)
}

/// Whether a folder's identity stands, without asking anybody.
pub(crate) fn is_settled(identity: &Identity, config: &NodeConfig, log_is_empty: bool) -> bool {
    identity.member != 0 && (!log_is_empty || !config.is_first_member(identity.member))
}

/// Asks the others until it is settled which member this is.
pub(crate) async fn ask_around(config: &NodeConfig, known: Identity, dialer: &Dialer) -> Admission {
    let mut said = Instant::now();
    loop {
        let round = Round::ask(config, &known, dialer).await;
        if let Some(identity) = round.admitted(config, &known, dialer).await {
            return Admission { identity, begins: None };
        }
        if let Some(admission) = round.begin(config, &known) {
            return admission;
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            round.explain();
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// Asks the others until they take this member in anew, which has a past that it cannot use: it never begins a cluster.
pub(crate) async fn ask_to_be_taken_in(config: &NodeConfig, known: &Identity, dialer: &Dialer) -> Identity {
    let mut said = Instant::now();
    loop {
        let round = Round::ask(config, known, dialer).await;
        if let Some(identity) = round.admitted(config, known, dialer).await {
            return identity;
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            round.explain();
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// One round of questions.
struct Round {
    /// By address; `Err` says why there is no answer.
    answers: Vec<(String, Option<u64>, Result<pb::HelloResponse, tonic::Status>)>,
}

impl Round {
    async fn ask(config: &NodeConfig, known: &Identity, dialer: &Dialer) -> Self {
        let first = config.initial_members.iter().filter(|m| m.id != config.id);
        let mut others: Vec<(String, Option<u64>)> = first.map(|m| (m.peer_address.clone(), Some(m.id))).collect();
        others.extend(config.peers.iter().map(|address| (address.clone(), None)));
        let questions = others.into_iter().map(|(address, id)| async move {
            let answer = hello(dialer, &known.cluster, config.id, id.unwrap_or(0), &address).await;
            (address, id, answer)
        });
        Self { answers: join_all(questions).await }
    }

    /// Those that belong to a cluster that has begun: address, and id where it is known.
    fn formed(&self) -> impl Iterator<Item = (&String, Option<u64>)> {
        let formed = self.answers.iter().filter(|(.., answer)| answer.as_ref().is_ok_and(|answer| answer.formed));
        formed.map(|(address, id, _)| (address, *id))
    }

    /// Who this member is in a cluster that has begun.
    async fn admitted(&self, config: &NodeConfig, known: &Identity, dialer: &Dialer) -> Option<Identity> {
        // Also on the word of one whose cluster is not agreed upon yet: it may be waiting for this very member.
        let knows_us = |answer: &Result<pb::HelloResponse, _>| answer.as_ref().is_ok_and(|a| a.yours == known.birth);
        if config.is_first_member(config.id) && self.answers.iter().any(|(.., answer)| knows_us(answer)) {
            return Some(Identity { member: config.id, ..known.clone() });
        }
        for (address, id) in self.formed() {
            match enlist(config, known, dialer, id.unwrap_or(0), address).await {
                Ok(member) => {
                    tracing::info!(member, "this folder has no past to go on from: taken in under a new id");
                    return Some(Identity { member, ..known.clone() });
                }
                Err(why) => tracing::info!("{address} does not take this member in yet: {why}"),
            }
        }
        None
    }

    /// A new cluster begins when every first member is there and has no past either.
    fn begin(&self, config: &NodeConfig, known: &Identity) -> Option<Admission> {
        if !config.is_first_member(config.id) || self.formed().next().is_some() {
            return None;
        }
        let mut births = BTreeMap::from([(config.id, known.birth)]);
        for (_, id, answer) in &self.answers {
            if let (Some(id), Ok(answer)) = (id, answer)
                && !answer.begun
            {
                births.insert(*id, answer.birth);
            }
        }
        let address = |m: &Member| Some((m.id, Address { birth: *births.get(&m.id)?, ..Address::from(m) }));
        let members = config.initial_members.iter().map(address).collect::<Option<BTreeMap<_, _>>>()?;
        Some(Admission { identity: Identity { member: config.id, ..known.clone() }, begins: Some(members) })
    }

    fn explain(&self) {
        for (address, _, answer) in &self.answers {
            match answer {
                Err(status) if status.code() == Code::FailedPrecondition => {
                    tracing::error!("{address} refuses this member: {}", status.message());
                }
                Err(status) => tracing::warn!("waiting for the member at {address}: {}", status.message()),
                Ok(_) => {}
            }
        }
    }
}

/// Who is there?
pub(crate) async fn hello(
    dialer: &Dialer,
    cluster: &str,
    from: u64,
    to: u64,
    address: &str,
) -> Result<pb::HelloResponse, tonic::Status> {
    let mut client = dialer.stranger(to, address).map_err(|e| tonic::Status::unavailable(e.to_string()))?;
    let request = pb::HelloRequest { protocol: PROTOCOL, cluster: cluster.to_owned(), from };
    match tokio::time::timeout(ANSWER, client.hello(request)).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(tonic::Status::deadline_exceeded("no answer")),
    }
}

async fn enlist(config: &NodeConfig, known: &Identity, dialer: &Dialer, to: u64, address: &str) -> Result<u64, String> {
    let mut client = dialer.stranger(to, address).map_err(|e| e.to_string())?;
    let request = pb::EnlistRequest {
        protocol: PROTOCOL,
        cluster: known.cluster.clone(),
        member: Some(wire::member_to(0, &Address::from(&config.this_member()))),
        timeout_ms: u32::try_from(ENLIST.as_millis()).unwrap_or(u32::MAX),
    };
    let answer = tokio::time::timeout(ENLIST * 2, client.enlist(request)).await;
    let answer = answer.map_err(|_| "no answer".to_owned())?.map_err(|status| status.message().to_owned())?;
    let answer = answer.into_inner();
    if answer.refusal.is_empty() && answer.id != 0 { Ok(answer.id) } else { Err(answer.refusal) }
}

/// Settles which member this is, asking the others when the folder does not say.
pub(crate) async fn settle(
    config: &Arc<NodeConfig>,
    known: Identity,
    log_is_empty: bool,
    dialer: &Dialer,
) -> std::io::Result<Admission> {
    if is_settled(&known, config, log_is_empty) {
        return Ok(Admission { identity: known, begins: None });
    }
    let admission = ask_around(config, known, dialer).await;
    // Before the first vote: what is settled must not be forgotten.
    let (folder, identity) = (config.data_dir.clone(), admission.identity.clone());
    blocking(move || Ok(identity.write(&folder)?)).await?;
    Ok(admission)
}
