//! When leases run out, by the clock of one leader. Pure: the time comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use planted_bugs::planted;
use raft_state::Lease;
use tokio::time::Instant;

/// The leases of one term of office.
///
/// A renewal only moves a lease's deadline; the agenda is looked at when its earlier entry comes up. So a renewal costs a
/// look-up, however many leases there are.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    leases: BTreeMap<i64, Timed>,
    /// When to look at which lease: never later than its deadline.
    agenda: BTreeSet<(Instant, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Timed {
    lease: Lease,
    deadline: Instant,
    /// Its end is on its way into the log: nothing may be promised of it before the outcome is known.
    is_ending: bool,
}

/// What is known of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is none.
    Absent,
    /// Its end is on its way.
    Ending,
    /// Granted for so many seconds, so long to go.
    Running(i64, Duration),
}

fn ttl(lease: Lease) -> Duration {
    Duration::from_secs(lease.ttl_s.unsigned_abs())
}

impl Deadlines {
    /// A lease is there: it has its full time from now on.
    pub(crate) fn insert(&mut self, id: i64, lease: Lease, now: Instant) {
        let deadline = now + ttl(lease);
        self.leases.insert(id, Timed { lease, deadline, is_ending: false });
        self.agenda.insert((deadline, id));
    }

    /// A lease is gone. What the agenda still says of it is skipped when it comes up.
    pub(crate) fn remove(&mut self, id: i64) {
        self.leases.remove(&id);
    }

    /// What is known of a lease.
    pub(crate) fn find(&self, id: i64, now: Instant) -> Found {
        match self.leases.get(&id) {
            None => Found::Absent,
            Some(timed) if timed.is_ending => Found::Ending,
            Some(timed) => Found::Running(timed.lease.ttl_s, timed.deadline.saturating_duration_since(now)),
        }
    }

    /// Gives a lease its full time anew.
    pub(crate) fn renew(&mut self, id: i64, now: Instant) -> Found {
        if let Some(timed) = self.leases.get_mut(&id)
            && !timed.is_ending
            && !planted!(RenewalForgotten)
        {
            timed.deadline = now + ttl(timed.lease);
        }
        self.find(id, now)
    }

    /// The leases that have run out, with their grants, at most `max`: they are ending from now on.
    pub(crate) fn take_due(&mut self, now: Instant, max: usize) -> Vec<(i64, u64)> {
        let mut due = Vec::new();
        while due.len() < max
            && let Some((_, id)) = self.agenda.pop_first_if(|(at, _)| *at <= now)
        {
            let Some(timed) = self.leases.get_mut(&id).filter(|timed| !timed.is_ending) else { continue };
            if timed.deadline <= now {
                timed.is_ending = true;
                due.push((id, timed.lease.grant));
            } else {
                self.agenda.insert((timed.deadline, id));
            }
        }
        due
    }

    /// What became of an end is known, or will never be: a lease that is still there is looked at again.
    pub(crate) fn settle(&mut self, id: i64, now: Instant) {
        if let Some(timed) = self.leases.get_mut(&id) {
            timed.is_ending = false;
            self.agenda.insert((timed.deadline.max(now), id));
        }
    }

    /// When to look next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }
}

/// `BTreeSet::pop_first`, on a condition.
trait PopFirstIf<T> {
    fn pop_first_if(&mut self, wanted: impl FnOnce(&T) -> bool) -> Option<T>;
}

impl<T: Ord> PopFirstIf<T> for BTreeSet<T> {
    fn pop_first_if(&mut self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.first().is_some_and(wanted) { self.pop_first() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn lease(ttl_s: i64, grant: u64) -> Lease {
        Lease { ttl_s, grant }
    }

    #[test]
    fn a_renewed_lease_outlives_its_first_deadline() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.insert(1, lease(10, 1), start);
        deadlines.insert(2, lease(10, 2), start);
        assert_eq!(deadlines.renew(1, start + 6 * S), Found::Running(10, 10 * S));
        assert_eq!(deadlines.take_due(start + 9 * S, 9), []);
        assert_eq!(deadlines.take_due(start + 10 * S, 9), [(2, 2)]);
        assert_eq!(deadlines.find(1, start + 10 * S), Found::Running(10, 6 * S));
        assert_eq!(deadlines.next(), Some(start + 16 * S));
        assert_eq!(deadlines.take_due(start + 16 * S, 9), [(1, 1)]);
    }

    #[test]
    fn one_that_is_ending_cannot_be_renewed_until_its_end_is_settled() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.insert(1, lease(1, 1), start);
        assert_eq!(deadlines.take_due(start + S, 9), [(1, 1)]);
        assert_eq!(deadlines.renew(1, start + S), Found::Ending);
        assert_eq!(deadlines.take_due(start + 2 * S, 9), []);
        deadlines.settle(1, start + 2 * S);
        assert_eq!(deadlines.renew(1, start + 2 * S), Found::Running(1, S));
        deadlines.remove(1);
        assert_eq!(deadlines.find(1, start + 2 * S), Found::Absent);
        assert_eq!(deadlines.take_due(start + 9 * S, 9), []);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn only_so_many_are_due_at_a_time() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        for id in 1..=5 {
            deadlines.insert(id, lease(1, id.unsigned_abs()), start);
        }
        assert_eq!(deadlines.take_due(start + S, 3).len(), 3);
        assert_eq!(deadlines.take_due(start + S, 3).len(), 2);
    }
}
