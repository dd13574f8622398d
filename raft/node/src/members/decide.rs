//! Autopilot: what to do next about the voters, decided from what the leader sees. Pure, so that a table can test it.
//!
//! One action at a time, and each leaves a cluster that can go on whatever happens next:
//! - a learner votes only when it has caught up;
//! - the number of voters is odd but for what is in transit: a fourth master waits for a fifth;
//! - who is to go is replaced in the same change wherever somebody is ready, so that nothing is removed before its
//!   replacement is there;
//! - no change is begun that the living could not finish: they must be a quorum of the old voters and of the new;
//! - nobody is dropped against his will unless those who stay and live are such a quorum.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_state::port::Kind;

/// More voters than this make every write slower and nothing safer.
const VOTERS_MAX: usize = 7;

/// When a member counts as alive, dead, caught up.
#[derive(Clone, Copy, Debug)]
pub struct Autopilot {
    /// Who answered within this time is alive.
    pub fresh: Duration,
    /// A voter that has been silent for so long is replaced when a learner is ready.
    pub dead_after: Duration,
    /// A learner whose log is so many entries short has caught up.
    pub lag_entries: u64,
    /// How long a member that is to leave may go on serving before it is removed.
    pub drain: Duration,
}

impl Default for Autopilot {
    fn default() -> Self {
        Self {
            fresh: Duration::from_millis(1500),
            dead_after: Duration::from_secs(30),
            lag_entries: 64,
            drain: Duration::from_secs(15),
        }
    }
}

/// What the leader sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The leader itself.
    pub(crate) leader: u64,
    /// The voters are changing: a joint configuration is in force.
    pub(crate) joint: bool,
    pub(crate) members: BTreeMap<u64, Seen>,
}

/// What the leader sees of one member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) voter: bool,
    /// Since it last answered.
    pub(crate) silent: Duration,
    /// Entries of the log that it lacks.
    pub(crate) behind: u64,
    /// For how long it has been leaving.
    pub(crate) leaving: Duration,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ends a change of voters that an earlier leader began.
    Flatten,
    /// Hands leadership to this member, because the leader itself is to go.
    Transfer(u64),
    /// Makes these the voters; whoever drops out is a learner from then on.
    Voters(BTreeSet<u64>),
    /// Removes a learner for good.
    Forget(u64),
}

/// The next step, if any.
pub(crate) fn decide(view: &View, policy: &Autopilot) -> Option<Action> {
    if view.joint {
        return Some(Action::Flatten);
    }
    match wanted(view, policy) {
        Some(target) if !target.contains(&view.leader) => {
            let heir = target.iter().filter(|id| view.is_voter(**id) && view.is_fresh(**id, policy));
            match heir.min_by_key(|id| view.members[*id].behind) {
                Some(heir) => Some(Action::Transfer(*heir)),
                // The leader steps down by itself when the change is through.
                None => Some(Action::Voters(target)),
            }
        }
        Some(target) => Some(Action::Voters(target)),
        None => forgotten(view, policy).map(Action::Forget),
    }
}

/// The voters that should be, when they are others than those that are and the change is safe.
pub(crate) fn wanted(view: &View, policy: &Autopilot) -> Option<BTreeSet<u64>> {
    let voters = view.voters();
    let mut ready = view.ready(policy);
    let go: BTreeSet<u64> = voters.iter().copied().filter(|id| view.is_to_go(*id, policy)).collect();
    if go.is_empty() {
        return unasked(view, policy, &voters, &ready);
    }
    // Whoever bears the name of one that goes comes first.
    ready.sort_by_key(|id| (!go.iter().any(|gone| view.members[gone].name == view.members[id].name), *id));
    let mut target: BTreeSet<u64> = voters.difference(&go).copied().collect();
    let mut ready = ready.into_iter();
    target.extend(ready.by_ref().take(go.len()));
    if !target.is_empty() && target.len().is_multiple_of(2) {
        match ready.next() {
            Some(one_more) => drop(target.insert(one_more)),
            None => drop(target.remove(&view.most_dispensable(&target, policy)?)),
        }
    }
    (!target.is_empty() && view.can_commit(&voters, &target, policy)).then_some(target)
}

/// What nobody ordered: dead voters replaced, an even number mended, waiting masters promoted.
fn unasked(view: &View, policy: &Autopilot, voters: &BTreeSet<u64>, ready: &[u64]) -> Option<BTreeSet<u64>> {
    let mut target = voters.clone();
    let dead = voters.iter().find(|id| **id != view.leader && view.members[*id].silent >= policy.dead_after);
    let mut dropped = None;
    match (dead, ready) {
        (_, [first, ..]) if voters.len().is_multiple_of(2) => drop(target.insert(*first)),
        (_, []) if voters.len().is_multiple_of(2) => {
            let one = view.most_dispensable(voters, policy)?;
            target.remove(&one);
            dropped = Some(one);
        }
        (Some(dead), [replacement, ..]) => {
            target.remove(dead);
            target.insert(*replacement);
            dropped = Some(*dead);
        }
        _ => {
            let room = VOTERS_MAX.saturating_sub(voters.len());
            let pairs = ready.len().min(room) / 2;
            target.extend(ready.iter().take(pairs * 2));
        }
    }
    let staying: BTreeSet<u64> = view.fresh(policy).into_iter().filter(|id| Some(*id) != dropped).collect();
    let safe = is_quorum(voters, &staying) && is_quorum(&target, &staying);
    (target != *voters && safe).then_some(target)
}

/// A learner that is to be removed now.
fn forgotten(view: &View, policy: &Autopilot) -> Option<u64> {
    let learners = view.members.iter().filter(|(_, seen)| !seen.voter);
    let mut over = learners.filter(|(id, seen)| {
        let left = seen.kind == Kind::Leaving && (seen.silent >= policy.fresh || seen.leaving >= policy.drain);
        left || view.successor(**id).is_some()
    });
    over.next().map(|(id, _)| *id)
}

fn is_quorum(of: &BTreeSet<u64>, ids: &BTreeSet<u64>) -> bool {
    of.intersection(ids).count() * 2 > of.len()
}

impl View {
    pub(crate) fn voters(&self) -> BTreeSet<u64> {
        self.members.iter().filter(|(_, seen)| seen.voter).map(|(id, _)| *id).collect()
    }

    pub(crate) fn is_voter(&self, id: u64) -> bool {
        self.members.get(&id).is_some_and(|seen| seen.voter)
    }

    pub(crate) fn is_fresh(&self, id: u64, policy: &Autopilot) -> bool {
        id == self.leader || self.members.get(&id).is_some_and(|seen| seen.silent < policy.fresh)
    }

    fn fresh(&self, policy: &Autopilot) -> BTreeSet<u64> {
        self.members.keys().copied().filter(|id| self.is_fresh(*id, policy)).collect()
    }

    /// Whether the living can carry a change from these voters to those through.
    pub(crate) fn can_commit(&self, from: &BTreeSet<u64>, to: &BTreeSet<u64>, policy: &Autopilot) -> bool {
        let fresh = self.fresh(policy);
        is_quorum(from, &fresh) && is_quorum(to, &fresh)
    }

    /// The newer member that bears this one's name: its machine begun anew.
    fn successor(&self, id: u64) -> Option<u64> {
        // Places that are kept have no name in common.
        let name = Some(&self.members.get(&id)?.name).filter(|name| !name.is_empty())?;
        self.members.range(id + 1..).find(|(_, seen)| seen.name == *name).map(|(newer, _)| *newer)
    }

    /// Masters that wait and could vote, the oldest first.
    pub(crate) fn ready(&self, policy: &Autopilot) -> Vec<u64> {
        let learners = self.members.iter().filter(|(_, seen)| !seen.voter && seen.kind == Kind::Master);
        learners
            // A place that is kept has nobody in it, however fresh the leader's own memory.
            .filter(|(_, seen)| !seen.name.is_empty())
            .filter(|(id, seen)| self.is_fresh(**id, policy) && seen.behind <= policy.lag_entries)
            .map(|(id, _)| *id)
            .filter(|id| self.successor(*id).is_none())
            .collect()
    }

    fn is_to_go(&self, id: u64, policy: &Autopilot) -> bool {
        let heir = self.successor(id).filter(|heir| self.is_voter(*heir) || self.ready(policy).contains(heir));
        self.members[&id].kind != Kind::Master || heir.is_some()
    }

    /// Whom to do without: whoever has been silent longest, else the newest, and never the leader.
    fn most_dispensable(&self, of: &BTreeSet<u64>, policy: &Autopilot) -> Option<u64> {
        let others = of.iter().copied().filter(|id| *id != self.leader);
        others.max_by_key(|id| (!self.is_fresh(*id, policy), *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1* 2 3- 4? 5!`: 1 leads, 2 votes, 3 votes and is dead, 4 is a learner that has caught up, 5 one that has not.
    /// `=kind` and `@name` may follow an id.
    fn view(text: &str) -> View {
        let mut view = View::default();
        for word in text.split_whitespace() {
            let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
            let id: u64 = digits.parse().expect("an id");
            let kind = match word.split_once('=').map(|(_, kind)| &kind[..1]) {
                Some("s") => Kind::Standby,
                Some("r") => Kind::Replica,
                Some("l") => Kind::Leaving,
                _ => Kind::Master,
            };
            let name = word.split_once('@').map_or(format!("m{id}"), |(_, name)| name.to_owned());
            if word.contains('*') {
                view.leader = id;
            }
            let seen = Seen {
                name,
                kind,
                voter: !word.contains(['?', '!']),
                silent: if word.contains('-') { Duration::from_secs(60) } else { Duration::from_millis(20) },
                behind: if word.contains('!') { 5000 } else { 0 },
                leaving: Duration::ZERO,
            };
            view.members.insert(id, seen);
        }
        view
    }

    fn voters(ids: &[u64]) -> Option<Action> {
        Some(Action::Voters(ids.iter().copied().collect()))
    }

    fn check(what: &str, text: &str, expected: Option<Action>) {
        assert_eq!(decide(&view(text), &Autopilot::default()), expected, "{what}: {text}");
    }

    #[test]
    fn waiting_masters_are_promoted_in_pairs_once_they_have_caught_up() {
        check("nothing to do", "1* 2 3", None);
        check("a second master waits for a third", "1* 2?", None);
        check("two make one into three", "1* 2? 3?", voters(&[1, 2, 3]));
        check("one of them has not caught up", "1* 2? 3!", None);
        check("one of them is dead", "1* 2? 3?-", None);
        check("a fourth waits for a fifth", "1* 2 3 4?", None);
        check("and does not wait for ever", "1* 2 3 4? 5?", voters(&[1, 2, 3, 4, 5]));
        check("four at once", "1* 2? 3? 4? 5?", voters(&[1, 2, 3, 4, 5]));
        check("seven are enough", "1* 2 3 4 5 6 7 8? 9?", None);
        check("replicas are never promoted", "1* 2 3 4?=r 5?=r", None);
        check("nor those that were demoted", "1* 2 3 4?=s 5?", None);
        check("what an earlier leader began is ended first", "1* 2 3", None);
    }

    #[test]
    fn a_joint_configuration_is_ended_before_anything_else() {
        let mut joint = view("1* 2 3 4? 5?");
        joint.joint = true;
        assert_eq!(decide(&joint, &Autopilot::default()), Some(Action::Flatten));
    }

    #[test]
    fn dead_voters_are_replaced_when_somebody_is_ready() {
        check("nobody is", "1* 2 3-", None);
        check("somebody is", "1* 2 3- 4?", voters(&[1, 2, 4]));
        check("but not yet", "1* 2 3- 4!", None);
        check("one at a time", "1* 2 3- 4 5- 6? 7?", voters(&[1, 2, 4, 5, 6]));
        check("a replica takes nobody's place", "1* 2 3- 4?=r", None);
        check("without a quorum nothing is begun", "1* 2- 3- 4? 5?", None);
    }

    #[test]
    fn who_is_to_go_is_replaced_or_takes_one_along() {
        check("a spare takes the place", "1* 2 3=l 4?", voters(&[1, 2, 4]));
        check("none is there: three become one", "1* 2 3=l", voters(&[1]));
        check("five become three", "1* 2 3 4 5=l", voters(&[1, 2, 3]));
        check("the dead one is the one taken along", "1* 2- 3 4 5=l", voters(&[1, 3, 4]));
        check("demoted with a spare", "1* 2=s 3 4?", voters(&[1, 3, 4]));
        check("two at once", "1* 2 3 4=l 5=l", voters(&[1, 2, 3]));
        check("the leader hands over first", "1*=l 2 3", Some(Action::Transfer(2)));
        check("the last voter stays", "1*=l", None);
        check("unless there is another to take over", "1*=l 2?", voters(&[2]));
        check("too few live to commit it", "1* 2- 3- 4 5-=l", None);
        check("who stays must be a quorum among themselves", "1* 2- 3=l 4- 5", voters(&[1, 2, 5]));
    }

    #[test]
    fn a_machine_begun_anew_takes_its_own_place() {
        check("once it has caught up", "1* 2-@m2 3 4?@m2", voters(&[1, 3, 4]));
        check("not before", "1* 2-@m2 3 4!@m2", None);
        check("before any other spare", "1* 2-@m2 3 4? 5?@m2", voters(&[1, 3, 5]));
        check("then the old id is over", "1* 2?-@m2 3 4@m2", Some(Action::Forget(2)));
        check("a learner's at once", "1* 2?-@r=r 3!@r=r", Some(Action::Forget(2)));
    }

    #[test]
    fn who_leaves_is_forgotten_when_it_is_gone_or_its_time_is_up() {
        check("it still serves", "1* 2?=l", None);
        check("it is gone", "1* 2?-=l", Some(Action::Forget(2)));
        let mut late = view("1* 2?=l");
        late.members.get_mut(&2).expect("a member").leaving = Duration::from_secs(60);
        assert_eq!(decide(&late, &Autopilot::default()), Some(Action::Forget(2)));
        check("a dead learner that nobody sent away stays", "1* 2?-", None);
    }

    #[test]
    fn an_even_number_of_voters_is_mended() {
        check("by one more", "1* 2 3 4 5?", voters(&[1, 2, 3, 4, 5]));
        check("by one less", "1* 2 3 4", voters(&[1, 2, 3]));
        check("the dead one", "1* 2- 3 4", voters(&[1, 3, 4]));
        check("never below what lives", "1* 2", None);
    }

    /// From every small view, following the decisions ends, and never passes through one that the living cannot commit.
    #[test]
    fn following_the_decisions_ends_and_every_step_is_safe() {
        let policy = Autopilot::default();
        let words = ["", "-", "=l", "-=l", "=s", "?", "?-", "?=l", "!", "?=r"];
        for a in words {
            for b in words {
                for c in words {
                    for d in words {
                        let mut now = view(&format!("1* 2{a} 3{b} 4{c} 5{d}"));
                        let before = format!("{a:?} {b:?} {c:?} {d:?}");
                        follow(&mut now, &policy, &before);
                    }
                }
            }
        }
    }

    fn follow(now: &mut View, policy: &Autopilot, start: &str) {
        for _ in 0..20 {
            match decide(now, policy) {
                None => return,
                Some(Action::Voters(target)) => {
                    assert!(now.can_commit(&now.voters(), &target, policy), "{start}: {target:?}");
                    assert!(!target.len().is_multiple_of(2), "{start}: {target:?} is even");
                    for (id, seen) in &mut now.members {
                        seen.voter = target.contains(id);
                    }
                }
                Some(Action::Forget(id)) => {
                    assert!(!now.is_voter(id), "{start}: {id} votes");
                    now.members.remove(&id);
                }
                Some(Action::Transfer(id)) => now.leader = id,
                Some(Action::Flatten) => unreachable!("no view is joint"),
            }
        }
        panic!("{start}: no end");
    }
}
