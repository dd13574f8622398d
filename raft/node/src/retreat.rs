//! A member that finds its own disk damaged while it serves steps back, as soon as the others can do without it.
//!
//! What it serves lies in memory and is sound; what it cannot do is hand its files to others, or start from them again. So it
//! gives leadership away first, and goes on voting until the other voters that live are a quorum: a cluster with one member
//! down must not lose another for a bit that nobody needs yet. Then it fences itself, and is rebuilt as any fenced member.

use std::time::Duration;

use parking_lot::Mutex;
use raft_state::port::Standing;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::fenced::Fence;
use crate::members::admin::{Admin, ClusterStatus, MemberStatus};
use crate::members::decide::Autopilot;

/// Between looks at whether the others can do without this member.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the leader may take to answer, or a successor to take over.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between reminders that this member is damaged and cannot go.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// Raised by whoever finds damage.
#[derive(Clone)]
pub(crate) struct Alarm(mpsc::UnboundedSender<String>);

/// An alarm, and where it rings.
pub(crate) fn alarm() -> (Alarm, mpsc::UnboundedReceiver<String>) {
    let (raised, rings) = mpsc::unbounded_channel();
    (Alarm(raised), rings)
}

impl Alarm {
    /// This member's disk is damaged.
    pub(crate) fn raise(&self, what: String) {
        tracing::error!("this member's disk is damaged: {what}");
        // The listener ends with the first alarm, or with the member.
        let _ = self.0.send(what);
    }
}

/// Held by the leader: members step back one at a time, for two that find damage at once see each other live.
#[derive(Debug, Default)]
pub(crate) struct Leave(Mutex<Option<(u64, Instant)>>);

impl Leave {
    /// Longer than it takes until whoever stepped back is missed.
    const HOLDS: Duration = Duration::from_secs(10);

    /// Whether this member may.
    pub(crate) fn take(&self, id: u64) -> bool {
        let mut given = self.0.lock();
        let is_anothers = given.is_some_and(|(to, at)| to != id && at.elapsed() < Self::HOLDS);
        if !is_anothers {
            *given = Some((id, Instant::now()));
        }
        !is_anothers
    }
}

/// Waits for an alarm.
pub(crate) struct Retreat {
    pub(crate) admin: Admin,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) policy: Autopilot,
    pub(crate) fence: Fence,
}

/// What a damaged member does next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The others can do without it.
    Go,
    /// It leads, and this member is to.
    HandOver(u64),
    /// Goes on, for the reason given.
    Stay(&'static str),
}

impl Retreat {
    pub(crate) async fn run(self, mut rings: mpsc::UnboundedReceiver<String>) {
        let Some(why) = rings.recv().await else { return };
        let mut reminded: Option<Instant> = None;
        loop {
            let step = match self.admin.status(Instant::now() + PATIENCE).await {
                Ok(status) => next(self.admin.id, &status, &self.policy),
                Err(_) => Step::Stay("nobody leads"),
            };
            match step {
                Step::Go => match self.admin.retreat(Instant::now() + PATIENCE).await {
                    Ok(()) => {
                        self.fence.fence(&why);
                        return;
                    }
                    Err(obstacle) => tracing::warn!("this member is damaged ({why}), and waits: {obstacle}"),
                },
                Step::HandOver(to) => {
                    tracing::warn!(to, "handing leadership over");
                    if let Err(error) = self.admin.transfer(to, Instant::now() + PATIENCE).await {
                        tracing::warn!(to, "leadership was not handed over: {error}");
                    }
                }
                Step::Stay(obstacle) => {
                    if reminded.is_none_or(|at| at.elapsed() > REMIND_EVERY) {
                        tracing::error!(
                            "this member is damaged ({why}), and goes on until it can be rebuilt: {obstacle}"
                        );
                        reminded = Some(Instant::now());
                    }
                }
            }
            // A change of leader is worth a look at once.
            let mut standing = self.standing.clone();
            standing.mark_unchanged();
            if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, standing.changed()).await {
                return;
            }
        }
    }
}

/// What the member `id` does, as the leader sees the cluster.
fn next(id: u64, status: &ClusterStatus, policy: &Autopilot) -> Step {
    if status.changing {
        return Step::Stay("the voters are changing");
    }
    let voters = status.members.iter().filter(|m| m.member.voter);
    let quorum = voters.clone().count() / 2 + 1;
    let lives = |m: &&MemberStatus| m.member.id != id && m.silent < policy.fresh;
    let is_there = |m: &&MemberStatus| status.last_index.saturating_sub(m.matched_index) <= policy.lag_entries;
    let others: Vec<_> = voters.clone().filter(lives).filter(is_there).collect();
    if status.leader == id {
        return match others.iter().max_by_key(|m| m.matched_index) {
            Some(heir) => Step::HandOver(heir.member.id),
            None => Step::Stay("no other voter has what it has: add masters, or restore a backup into a new cluster"),
        };
    }
    let votes = voters.clone().any(|m| m.member.id == id);
    match !votes || others.len() >= quorum {
        true => Step::Go,
        false => Step::Stay("the other voters that live are no quorum without it"),
    }
}

#[cfg(test)]
mod tests {
    use raft_state::port::Member;

    use super::*;

    #[test]
    fn one_member_steps_back_at_a_time() {
        let leave = Leave::default();
        assert!(leave.take(2) && !leave.take(3) && leave.take(2));
    }

    #[test]
    fn a_damaged_member_goes_when_the_others_can_do_without_it() {
        const DEAD: u64 = 60_000;
        let policy = Autopilot::default();
        // Id, votes, silent for so many ms, entries of 1000.
        let check = |what: &str, leader: u64, members: &[(u64, bool, u64, u64)], expected: Step| {
            let members = members.iter().map(|(id, voter, silent, matched)| MemberStatus {
                member: Member { id: *id, voter: *voter, ..Member::default() },
                matched_index: *matched,
                silent: Duration::from_millis(*silent),
                note: String::new(),
            });
            let members = members.collect();
            let status = ClusterStatus { leader, term: 1, last_index: 1000, changing: false, members };
            let found = next(1, &status, &policy);
            match (&found, &expected) {
                (Step::Stay(_), Step::Stay(_)) => {}
                _ => assert_eq!(found, expected, "{what}"),
            }
        };
        let all = [(1, true, 0, 1000), (2, true, 10, 1000), (3, true, 10, 999)];
        check("a follower of three", 2, &all, Step::Go);
        check("a leader of three", 1, &all, Step::HandOver(2));
        let one_dead = [(1, true, 0, 1000), (2, true, 10, 1000), (3, true, DEAD, 1000)];
        check("a follower beside a dead one", 2, &one_dead, Step::Stay(""));
        check("a leader beside a dead one", 1, &one_dead, Step::HandOver(2));
        let one_lags = [(1, true, 0, 1000), (2, true, 10, 1000), (3, true, 10, 0)];
        check("a follower beside one that has nothing yet", 2, &one_lags, Step::Stay(""));
        check("a leader that is alone", 1, &[(1, true, 0, 1000)], Step::Stay(""));
        check("a leader with a learner", 1, &[(1, true, 0, 1000), (2, false, 1, 1000)], Step::Stay(""));
        check("a learner", 2, &[(1, false, 1, 1000), (2, true, 0, 1000), (3, true, DEAD, 9)], Step::Go);
    }
}
