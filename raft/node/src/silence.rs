//! How long others have been silent, counted in time in which this member itself was running.
//!
//! A member that gets no processor, or is stopped and goes on, finds the clock far ahead and its messages unread. By the
//! clock alone it would take a leader for dead that it has not listened to, and a leader would take its quorum for lost.
//! So each look counts little more than the time between two looks, however long ago the last one was. Where nobody is
//! starved this is the time by the clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Timing;

/// A look counts this much at most, in times between looks.
const COUNTED_MAX: u32 = 2;

/// In leases: a leader that has lost its quorum goes on calling for so long. Whoever was only slow has answered by then.
const CALLING: u32 = 2;
/// In leases: for so long it then leaves the others in peace. One lease goes by until nobody believes in it any more, two
/// until everyone's timer has run out, and the last is for those that stood at the same time.
const QUIET: u32 = 4;
/// In leases: and for so long it calls again, since it may be the only one with a log to be elected for.
const CALLING_AGAIN: u32 = 1;

/// For how long a leader that makes room for others is quiet.
pub(crate) fn room(timing: &Timing) -> Duration {
    timing.election_max * QUIET
}

/// What a member may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permits {
    /// Stand for election, once its timer says so.
    pub(crate) elect: bool,
    /// Speak as the leader: send heartbeats and entries. Either would keep who gets it from voting.
    pub(crate) lead: bool,
}

/// What a member hears: as a follower its leader, as a leader its quorum.
pub(crate) struct Silence {
    lease: Duration,
    room: Duration,
    counted_max: Duration,
    looked: Instant,
    led: bool,
    silent: Duration,
    /// As the leader: quiet until then.
    cedes_until: Option<Instant>,
    /// The last entry that a quorum is known to have.
    committed: Option<u64>,
}

impl Silence {
    /// For one that looks every `between`.
    pub(crate) fn new(timing: &Timing, between: Duration, now: Instant) -> Self {
        Self {
            lease: timing.election_max,
            room: room(timing),
            counted_max: between * COUNTED_MAX,
            looked: now,
            led: false,
            silent: Duration::ZERO,
            cedes_until: None,
            committed: None,
        }
    }

    /// As the leader: leaves the others in peace for as long as an election takes, whoever is heard.
    pub(crate) fn cede(&mut self, now: Instant) {
        self.cedes_until = Some(now + self.room);
    }

    /// A quorum has this entry. A leader whose quorum only was slow has no reason to leave the others an election.
    pub(crate) fn commits(&mut self, committed: Option<u64>) {
        if self.committed < committed {
            self.committed = committed;
            self.cedes_until = None;
        }
    }

    /// Looks: whether the leader, or as the leader a quorum, was heard since the last look; `leads` says which.
    pub(crate) fn look(&mut self, now: Instant, heard: bool, leads: bool) -> Permits {
        let ran = now.saturating_duration_since(self.looked).min(self.counted_max);
        self.looked = now;
        let begins = leads && !self.led;
        self.led = leads;
        if begins || heard {
            self.silent = Duration::ZERO;
        } else {
            self.silent += ran;
        }
        if !leads {
            self.cedes_until = None;
            // The timer is longer than the lease, so where nobody is starved this delays no election.
            return Permits { elect: self.silent >= self.lease, lead: true };
        }
        // A leader whose calls reach a few others, and whose quorum does not answer, would keep those few from voting. But one
        // that only was late must not fall silent itself: the others would hear it too late.
        let beyond = self.silent.checked_sub(self.lease * CALLING);
        let round = self.room + self.lease * CALLING_AGAIN;
        let is_quiet = beyond.is_some_and(|beyond| beyond.as_nanos() % round.as_nanos() < self.room.as_nanos());
        let cedes = self.cedes_until.is_some_and(|until| now < until);
        Permits { elect: true, lead: !is_quiet && !cedes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(15);

    /// Looks every so many ms, for so long, hearing nothing; what is permitted in the end.
    fn after(leads: bool, every_ms: u64, for_ms: u64) -> Permits {
        let begin = Instant::now();
        let mut silence = Silence::new(&Timing::default(), LOOK, begin);
        silence.look(begin, true, leads);
        let looks = (1..=for_ms / every_ms).map(|look| begin + Duration::from_millis(look * every_ms));
        looks.map(|now| silence.look(now, false, leads)).last().expect("a look")
    }

    #[test]
    fn a_leader_is_dead_after_a_lease_of_silence_in_which_one_listened() {
        for (what, every_ms, for_ms, elect) in [
            ("a lease by the clock", 15, 165, true),
            ("less than that", 15, 135, false),
            ("a starved follower listens half the time", 60, 240, false),
            ("it has listened long enough in the end", 60, 420, true),
            ("a follower that was stopped for a minute has heard nothing yet", 60_000, 60_000, false),
        ] {
            assert_eq!(after(false, every_ms, for_ms).elect, elect, "{what}");
        }
    }

    #[test]
    fn a_leader_that_was_late_goes_on_calling_and_one_without_a_quorum_makes_room() {
        for (what, every_ms, for_ms, lead) in [
            ("its lease has lapsed, no more", 15, 285, true),
            ("it was stopped for a minute", 60_000, 60_000, true),
            ("the quorum does not come back", 15, 300, false),
            ("it leaves time for an election", 15, 885, false),
            ("and calls again", 15, 915, true),
            ("for the others to answer", 15, 1035, true),
            ("and is quiet once more", 15, 1065, false),
        ] {
            assert_eq!(after(true, every_ms, for_ms).lead, lead, "{what}");
        }
    }

    #[test]
    fn a_leader_that_cedes_is_quiet_for_one_election_though_it_is_heard() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let mut silence = Silence::new(&Timing::default(), LOOK, begin);
        assert!(silence.look(begin, true, true).lead);
        silence.cede(begin);
        for (ms, lead) in [(15, false), (585, false), (600, true)] {
            assert_eq!(silence.look(at(ms), true, true).lead, lead, "after {ms} ms");
        }
        silence.cede(at(615));
        silence.look(at(630), true, false);
        assert!(silence.look(at(645), true, true).lead, "by another election");
    }

    #[test]
    fn a_leader_whose_quorum_was_slow_cedes_no_longer() {
        let begin = Instant::now();
        let mut silence = Silence::new(&Timing::default(), LOOK, begin);
        silence.look(begin, true, true);
        silence.commits(Some(7));
        silence.cede(begin);
        silence.commits(Some(7));
        assert!(!silence.look(begin + LOOK, true, true).lead, "nothing more is committed");
        silence.commits(Some(8));
        assert!(silence.look(begin + LOOK * 2, true, true).lead);
    }

    #[test]
    fn whoever_is_heard_is_not_silent() {
        let begin = Instant::now();
        let mut silence = Silence::new(&Timing::default(), LOOK, begin);
        let mut now = begin;
        for _ in 0..100 {
            now += LOOK;
            assert!(!silence.look(now, true, false).elect);
        }
    }
}
