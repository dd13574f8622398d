//! Whether what somebody wishes of a member makes sense, and is safe now. Pure.

use raft_state::port::Kind;

use super::decide::{Autopilot, View, wanted};

/// What becomes of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is so already.
    Already,
    /// The member's kind is to be set; autopilot does the rest. With a word about what it waits for.
    Set(Option<String>),
    /// It makes no sense, or cannot be done now.
    Refused(String),
    /// There is no such member.
    Unknown,
}

/// Judges the wish that a member be of a kind.
pub(crate) fn judge(view: &View, policy: &Autopilot, id: u64, kind: Kind) -> Verdict {
    let Some(seen) = view.members.get(&id) else { return Verdict::Unknown };
    let name = &seen.name;
    match (seen.kind, kind) {
        (Kind::Leaving, Kind::Leaving) => return Verdict::Already,
        (Kind::Leaving, _) => {
            return Verdict::Refused(format!("{name} is leaving the cluster; add it again as a new member"));
        }
        (Kind::Replica, Kind::Master | Kind::Standby) => {
            return Verdict::Refused(format!(
                "{name} is a read replica, which never votes; remove it and add it as a master"
            ));
        }
        (before, _) if before == kind && (kind != Kind::Master || seen.voter) => return Verdict::Already,
        _ => {}
    }
    let mut wished = view.clone();
    if let Some(seen) = wished.members.get_mut(&id) {
        seen.kind = kind;
    }
    let target = wanted(&wished, policy);
    match kind {
        Kind::Master => Verdict::Set(match target {
            Some(target) if target.contains(&id) => None,
            _ => Some(waiting(&wished, policy, id).unwrap_or_else(|| format!("{name} waits"))),
        }),
        _ if !seen.voter => Verdict::Set(None),
        _ => match target {
            Some(target) if !target.contains(&id) => Verdict::Set(None),
            _ => Verdict::Refused(refusal(view, policy, name)),
        },
    }
}

/// Why a voter cannot be done without.
fn refusal(view: &View, policy: &Autopilot, name: &str) -> String {
    let voters = view.voters();
    if voters.len() == 1 {
        return format!("{name} is the only voter: add another master first (trireme cluster add)");
    }
    let fresh = voters.iter().filter(|id| view.is_fresh(**id, policy)).count();
    format!(
        "{fresh} of {} voters answer, too few to go on without {name}: start the others again or add masters (trireme cluster add) first",
        voters.len()
    )
}

/// What a master that does not vote waits for; `None` for one that votes or does not want to.
pub(crate) fn waiting(view: &View, policy: &Autopilot, id: u64) -> Option<String> {
    let seen = view.members.get(&id).filter(|seen| !seen.voter && seen.kind == Kind::Master)?;
    let name = &seen.name;
    if !view.is_fresh(id, policy) {
        return Some(format!("{name} does not answer"));
    }
    if seen.behind > policy.lag_entries {
        return Some(format!("{name} is catching up, {} entries behind", seen.behind));
    }
    let voters = view.voters().len();
    (wanted(view, policy).is_none()).then(|| {
        format!("{name} waits as a learner until another master joins: the number of voters ({voters}) stays odd")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::decide::Seen;
    use super::*;

    /// Voters, dead voters, learners, the first voter leading.
    fn view(voters: &[u64], dead: &[u64], learners: &[(u64, Kind)]) -> View {
        let mut view = View { leader: voters[0], ..View::default() };
        let mut add = |id: u64, voter: bool, silent: u64, kind: Kind| {
            let silent = Duration::from_secs(silent);
            view.members.insert(id, Seen { name: format!("m{id}"), kind, voter, silent, ..Seen::default() });
        };
        voters.iter().for_each(|id| add(*id, true, 0, Kind::Master));
        dead.iter().for_each(|id| add(*id, true, 60, Kind::Master));
        learners.iter().for_each(|(id, kind)| add(*id, false, 0, *kind));
        view
    }

    #[test]
    fn a_wish_is_granted_refused_or_explained() {
        let policy = Autopilot::default();
        let check = |view: &View, id: u64, kind: Kind, expected: &str| {
            let said = match judge(view, &policy, id, kind) {
                Verdict::Already => "already".to_owned(),
                Verdict::Set(None) => "done".to_owned(),
                Verdict::Set(Some(note)) => note,
                Verdict::Refused(why) => why,
                Verdict::Unknown => "unknown".to_owned(),
            };
            assert!(said.contains(expected), "{id} as {kind:?}: {said}");
        };
        let three = view(&[1, 2, 3], &[], &[(4, Kind::Master), (5, Kind::Replica)]);
        check(&three, 9, Kind::Leaving, "unknown");
        check(&three, 2, Kind::Master, "already");
        check(&three, 4, Kind::Master, "until another master joins: the number of voters (3) stays odd");
        check(&three, 5, Kind::Master, "a read replica, which never votes");
        check(&three, 5, Kind::Leaving, "done");
        check(&three, 3, Kind::Leaving, "done");
        check(&three, 3, Kind::Standby, "done");
        let one = view(&[1], &[], &[]);
        check(&one, 1, Kind::Leaving, "the only voter");
        let lame = view(&[1, 2], &[3, 4, 5], &[]);
        check(&lame, 2, Kind::Leaving, "2 of 5 voters answer");
        check(&view(&[1, 2], &[3], &[]), 3, Kind::Leaving, "done");
    }
}
