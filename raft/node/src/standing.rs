//! Keeps the standing of this member current: who leads, and whether the quorum still follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::ServerState;
use openraft::alias::InstantOf;
use openraft::async_runtime::watch::WatchReceiver;
use raft_state::port::{Member, Standing};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::compare::Word;
use crate::config::Timing;
use crate::exit::Exit;
use crate::leader::{Contact, LeaderView};
use crate::machine::Applied;
use crate::metrics::{Metrics, increment};
use crate::peer::dial::Dialer;
use crate::proof::Proof;
use crate::reads::Reads;
use crate::silence::Silence;
use crate::types::{Fatal, Raft, TypeConfig};

type RaftMetrics = openraft::RaftMetrics<TypeConfig>;

/// So many leases without a leader that has a quorum, and this member no longer counts as ready. An election takes about
/// two: requests are retried through it, so it is no reason to send clients elsewhere.
const PATIENCE: u32 = 4;

/// Watches Raft.
pub(crate) struct Observer {
    pub(crate) raft: Raft,
    pub(crate) name: String,
    pub(crate) timing: Timing,
    pub(crate) contact: Arc<Contact>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) applied: watch::Receiver<Applied>,
    pub(crate) reads: Reads,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) standing: watch::Sender<Standing>,
    pub(crate) leader: watch::Sender<LeaderView>,
    pub(crate) stopping: Arc<AtomicBool>,
    /// Others say that this member was removed.
    pub(crate) removed: Arc<AtomicBool>,
    pub(crate) word: Arc<Word>,
    /// As the leader: nothing is to be sent to followers now.
    pub(crate) quiet: watch::Sender<bool>,
    /// As the leader: the others are to have time for an election.
    pub(crate) cedes: Arc<AtomicBool>,
    pub(crate) exit: Exit,
}

/// When others were heard last.
#[derive(Default)]
struct Heard {
    leader: Option<Instant>,
    quorum: Option<InstantOf<TypeConfig>>,
}

impl Heard {
    /// Whether the leader, or the leader's quorum, was heard since the last look. A candidate has no leader to hear.
    fn is_news(&mut self, now: &RaftMetrics, contact: &Contact, leads: bool) -> bool {
        let leader = now.current_leader.and_then(|leader| contact.of(leader));
        let quorum = now.last_quorum_acked.map(|at| *at);
        let is_news = if leads { quorum > self.quorum } else { leader > self.leader };
        self.leader = self.leader.max(leader);
        self.quorum = self.quorum.max(quorum);
        is_news
    }
}

impl Observer {
    /// Runs until Raft stops; when it stopped by itself, the process exits.
    pub(crate) async fn run(self) {
        let mut changes = self.raft.server_metrics();
        let all = self.raft.metrics();
        // What the log held at the start must be applied before this member serves.
        let start = all.borrow_watched().last_log_index;
        let mut recovered = false;
        let patience = self.timing.election_max * PATIENCE;
        let (mut settled, mut looked) = (None, Instant::now());
        let mut proof = Proof::new(self.reads.clone(), self.applied.clone());
        let between = (self.timing.heartbeat / 2).max(Duration::from_millis(5));
        let mut silence = Silence::new(&self.timing, between, Instant::now());
        let mut heard = Heard::default();
        let mut ticks = tokio::time::interval(between);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let running = tokio::select! {
                biased;
                changed = changes.changed() => changed.is_ok(),
                _ = ticks.tick() => true,
            };
            let now = all.borrow_watched().clone();
            let stopped = match &now.running_state {
                Err(fatal) => Some(fatal.clone()),
                Ok(()) if running => None,
                // The core is gone without a word.
                Ok(()) => Some(Fatal::Panicked),
            };
            if let Some(fatal) = stopped {
                self.report_stop(&fatal);
                return;
            }
            self.listen(&mut silence, &mut heard, &now);
            recovered |= now.cluster_committed.is_some()
                && now.cluster_committed.map(|c| c.index) >= start
                && now.last_applied >= now.cluster_committed;
            // One that was stopped itself has heard nobody, whatever waits in its buffers.
            let was_away = looked.elapsed() >= patience;
            looked = Instant::now();
            if self.is_settled(&now) {
                settled = Some(looked);
            }
            let in_touch = settled.is_some_and(|at| at.elapsed() < patience);
            if was_away || !in_touch {
                proof.lapse();
            }
            let ready = recovered && in_touch && proof.holds();
            self.publish(&now, ready);
        }
    }

    fn report_stop(&self, fatal: &Fatal) {
        self.standing.send_modify(|standing| {
            standing.leads = false;
            standing.ready = false;
        });
        if !self.stopping.load(Ordering::Acquire) {
            self.exit.now(&format!("the Raft core died: {fatal}"));
        }
    }

    /// Lets Raft stand for election and send heartbeats, or not, by what is heard of others.
    fn listen(&self, silence: &mut Silence, heard: &mut Heard, now: &RaftMetrics) {
        if now.membership_config.voter_ids().eq([now.id]) {
            // There is nobody to hear; what was forbidden before the others went is no longer.
            self.raft.runtime_config().elect(true);
            self.raft.runtime_config().heartbeat(true);
            self.quiet.send_if_modified(std::mem::take);
            return;
        }
        let leads = is_leader(now);
        silence.commits(now.local_committed.map(|id| id.index));
        if self.cedes.swap(false, Ordering::Relaxed) {
            silence.cede(Instant::now());
        }
        let permits = silence.look(Instant::now(), heard.is_news(now, &self.contact, leads), leads);
        self.raft.runtime_config().elect(permits.elect);
        self.raft.runtime_config().heartbeat(permits.lead);
        self.quiet.send_if_modified(|quiet| std::mem::replace(quiet, !permits.lead) == permits.lead);
    }

    /// Whether this member leads with a quorum, or hears who does.
    fn is_settled(&self, now: &RaftMetrics) -> bool {
        if is_leader(now) {
            return self.lease_holds(now);
        }
        now.current_leader.is_some_and(|leader| self.contact.is_fresh(leader, self.timing.election_max))
    }

    fn publish(&self, now: &RaftMetrics, ready: bool) {
        let membership = now.membership_config.membership();
        let is_leader = is_leader(now);
        let leads = is_leader && self.lease_holds(now);
        // A vote for oneself that no quorum has granted names no leader.
        let leader = now.current_leader.filter(|leader| is_leader || *leader != now.id);
        let view = LeaderView {
            term: now.current_term,
            leader,
            address: leader
                .and_then(|id| membership.get_node(&id))
                .map(|address| address.peer.clone())
                .unwrap_or_default(),
        };
        self.leader.send_if_modified(|old| {
            let changed = *old != view;
            if changed {
                if old.leader != view.leader {
                    increment(&self.metrics.leader_changes);
                    tracing::info!(term = view.term, leader = view.leader, "the leader changed");
                }
                *old = view.clone();
            }
            changed
        });
        let applied = *self.applied.borrow();
        let removed = self.removed.load(Ordering::Acquire);
        let standing = Standing {
            id: now.id,
            name: self.name.clone(),
            leader,
            term: now.current_term,
            leads,
            ready: ready && !removed,
            applied_index: applied.index,
            revision: applied.revision,
            epoch: applied.epoch,
            members: members(now),
            removed,
            refusing: self.word.refusing(),
        };
        self.standing.send_if_modified(|old| {
            let changed = *old != standing;
            if changed {
                self.count(old, &standing, is_leader);
                *old = standing;
            }
            changed
        });
        self.metrics.set_replication_lag(lag(now));
    }

    /// Whether a quorum has answered this leader within the lease, so that no other can have been elected.
    fn lease_holds(&self, now: &RaftMetrics) -> bool {
        if now.membership_config.voter_ids().eq([now.id]) {
            return true;
        }
        let voters = now.membership_config.membership().get_joint_config();
        let followed = self.dialer.answers.quorum(now.vote.leader_id, now.id, voters);
        followed.is_some_and(|moment| moment.at.elapsed() < self.timing.election_max)
    }

    fn count(&self, old: &Standing, new: &Standing, is_leader: bool) {
        if new.leads && (!old.leads && old.term != new.term) {
            increment(&self.metrics.elections_won);
        }
        if old.leads && !new.leads && is_leader {
            increment(&self.metrics.lease_lapses);
            tracing::warn!(term = new.term, "no quorum has answered within the lease");
        }
    }
}

fn is_leader(now: &RaftMetrics) -> bool {
    now.state == ServerState::Leader && now.current_leader == Some(now.id)
}

fn members(now: &RaftMetrics) -> Vec<Member> {
    let voters: Vec<u64> = now.membership_config.voter_ids().collect();
    let members = now.membership_config.membership().nodes();
    members.map(|(id, address)| address.member(*id, voters.contains(id))).collect()
}

/// Entries that each other member lacks. Of one that has not answered this leader yet nothing is known: it may hold them all.
fn lag(now: &RaftMetrics) -> BTreeMap<u64, u64> {
    let last = now.last_log_index.unwrap_or(0);
    let Some(replication) = &now.replication else { return BTreeMap::new() };
    let known = replication.iter().filter_map(|(id, matched)| Some((*id, matched.as_ref()?.index)));
    known.filter(|(id, _)| *id != now.id).map(|(id, matched)| (id, last.saturating_sub(matched))).collect()
}

/// The other voter whose log is longest: who should lead when this member cannot.
pub(crate) fn successor(now: &RaftMetrics) -> Option<u64> {
    successor_but(now, &BTreeSet::new())
}

/// The same, but for these.
pub(crate) fn successor_but(now: &RaftMetrics, unfit: &BTreeSet<u64>) -> Option<u64> {
    let replication = now.replication.as_ref()?;
    let fresh = now.heartbeat.as_ref()?;
    let others = now.membership_config.voter_ids().filter(|id| *id != now.id && !unfit.contains(id));
    others.max_by_key(|id| {
        (replication.get(id).copied().flatten().map(|m| m.index), fresh.get(id).copied().flatten().map(|at| *at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::log_id;

    #[test]
    fn what_a_member_lacks_is_known_once_it_has_answered() {
        let check = |matched: [(u64, Option<u64>); 3], expected: &[(u64, u64)]| {
            let replication = matched.map(|(id, index)| (id, index.map(|index| log_id(1, 1, index)))).into();
            let now =
                RaftMetrics { last_log_index: Some(90), replication: Some(replication), ..RaftMetrics::new_initial(1) };
            assert_eq!(lag(&now), expected.iter().copied().collect(), "{matched:?}");
        };
        check([(1, Some(90)), (2, Some(90)), (3, Some(80))], &[(2, 0), (3, 10)]);
        check([(1, Some(90)), (2, Some(90)), (3, None)], &[(2, 0)]);
    }
}
