//! The first start of a cluster.

use std::collections::BTreeMap;

use openraft::error::{InitializeError, RaftError};

use crate::config::NodeConfig;
use crate::types::{Address, Raft};

/// Forms the cluster: once, when every folder is empty. Any initial member can, all with the same membership; the lowest
/// id goes first, for whoever forms a cluster stands for election at once and would unseat who leads already.
pub(crate) async fn form_cluster(raft: Raft, config: NodeConfig) {
    if !config.initial_members.iter().any(|m| m.id == config.id) {
        tracing::info!("this member waits to be added to the cluster");
        return;
    }
    let rank = config.initial_members.iter().filter(|m| m.id < config.id).count();
    let turn = config.timing.election_max * 2 * u32::try_from(rank).unwrap_or(u32::MAX);
    if rank > 0 && raft.wait(Some(turn)).metrics(|m| m.last_log_index.is_some(), "the log begins").await.is_ok() {
        return;
    }
    let members: BTreeMap<u64, Address> = config.initial_members.iter().map(|m| (m.id, Address::from(m))).collect();
    match raft.initialize(members).await {
        Ok(()) => tracing::info!("a new cluster begins"),
        // This member has a past, or another one was faster.
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
        Err(e) => tracing::error!("forming the cluster: {e}"),
    }
}
