//! The first start of a cluster.

use std::collections::BTreeMap;

use openraft::error::{InitializeError, RaftError};

use crate::config::Timing;
use crate::types::{Address, Raft};

/// Forms the cluster: once, when every folder is empty. Any first member can, all with the same membership; the lowest id
/// goes first, for whoever forms a cluster stands for election at once and would unseat who leads already.
pub(crate) async fn form_cluster(raft: Raft, members: BTreeMap<u64, Address>, timing: Timing) {
    let id = *raft.node_id();
    let rank = members.keys().filter(|other| **other < id).count();
    let turn = timing.election_max * 2 * u32::try_from(rank).unwrap_or(u32::MAX);
    if rank > 0 && raft.wait(Some(turn)).metrics(|m| m.last_log_index.is_some(), "the log begins").await.is_ok() {
        return;
    }
    match raft.initialize(members).await {
        Ok(()) => tracing::info!("a new cluster begins"),
        // This member has a past, or another one was faster.
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
        Err(e) => tracing::error!("forming the cluster: {e}"),
    }
}
