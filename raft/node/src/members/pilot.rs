//! Autopilot at work: while this member leads, it does what [`decide`] says, one change after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::raft::Precondition;
use raft_state::port::Standing;
use tokio::sync::{Mutex, Notify, watch};

use super::decide::{Action, Autopilot, decide};
use super::observe::Observatory;
use crate::types::{Address, LogId, Raft};

/// Between looks, unless somebody calls.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A change that takes longer goes on without being waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Changes the membership: one change at a time.
pub(crate) struct Changes {
    raft: Raft,
    one_at_a_time: Mutex<()>,
    /// Something was wished: look now.
    pub(crate) called: Notify,
}

/// Why a change did not come about. To be tried again.
pub(crate) struct NotNow(pub(crate) String);

impl Changes {
    pub(crate) fn new(raft: Raft) -> Self {
        Self { raft, one_at_a_time: Mutex::new(()), called: Notify::new() }
    }

    /// Makes a change if the membership is still the one written at `at`, and waits until it is committed.
    pub(crate) async fn make(&self, change: ChangeMembers<u64, Address>, at: Option<LogId>) -> Result<(), NotNow> {
        let _alone = self.one_at_a_time.lock().await;
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: at };
        let changing = self.raft.change_membership_if(change, true, [unchanged]);
        match tokio::time::timeout(PATIENCE, changing).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(NotNow(e.to_string())),
            Err(_) => Err(NotNow("the change is not committed yet".to_owned())),
        }
    }

    /// Sets what the membership says of one member.
    pub(crate) async fn describe(&self, id: u64, address: Address, at: Option<LogId>) -> Result<(), NotNow> {
        let made = self.make(ChangeMembers::SetNodes(BTreeMap::from([(id, address)])), at).await;
        self.called.notify_one();
        made
    }

    async fn act(&self, action: Action, at: Option<LogId>) -> Result<(), NotNow> {
        tracing::info!(?action, "autopilot changes the membership");
        match action {
            // Adding nobody makes the last voter set the only one.
            Action::Flatten => self.make(ChangeMembers::AddVoterIds(BTreeSet::new()), at).await,
            Action::Voters(voters) => self.make(ChangeMembers::ReplaceAllVoters(voters), at).await,
            Action::Forget(id) => self.make(ChangeMembers::RemoveNodes(BTreeSet::from([id])), at).await,
            Action::Transfer(to) => {
                let sent = self.raft.trigger().transfer_leader(to).await;
                sent.map_err(|e| NotNow(e.to_string()))
            }
        }
    }
}

/// Runs for as long as the member does.
pub(crate) async fn run(
    changes: Arc<Changes>,
    observatory: Arc<Observatory>,
    mut standing: watch::Receiver<Standing>,
    policy: Autopilot,
) {
    loop {
        if standing.wait_for(|standing| standing.leads).await.is_err() {
            return;
        }
        let next = observatory.look().and_then(|seen| Some((decide(&seen.view, &policy)?, seen.at)));
        if let Some((action, at)) = next
            && let Err(NotNow(why)) = changes.act(action, at).await
        {
            tracing::info!("the membership does not change yet: {why}");
        }
        // A permit that is there already makes the next look come at once.
        let _ = tokio::time::timeout(LOOK_EVERY, changes.called.notified()).await;
    }
}
