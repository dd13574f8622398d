//! Which masters the schedule leaves on the healthy side, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::nemeses::{Impact, Struck};

/// A time in which nothing about the faults changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// From.
    pub begin: Duration,
    /// Until.
    pub end: Duration,
    /// Masters of which every client may expect service: each is in every majority that could form.
    pub core: BTreeSet<usize>,
}

/// Cuts `0..length` into spans. A fault counts from its beginning until what it touched serves again.
pub fn spans(faults: &[Struck], masters: usize, length: Duration) -> Vec<Span> {
    let over = |fault: &Struck| fault.recovered.unwrap_or(length).min(length);
    let mut moments: BTreeSet<Duration> = [Duration::ZERO, length].into();
    for fault in faults {
        moments.extend([fault.begun.min(length), over(fault)]);
    }
    let moments: Vec<Duration> = moments.into_iter().collect();
    let mut spans: Vec<Span> = Vec::new();
    for pair in moments.windows(2) {
        let (begin, end) = (pair[0], pair[1]);
        let active: Vec<&Impact> =
            faults.iter().filter(|f| f.begun <= begin && over(f) >= end).map(|f| &f.impact).collect();
        let core = core(&active, masters);
        match spans.last_mut().filter(|last| last.core == core) {
            Some(last) => last.end = end,
            None => spans.push(Span { begin, end, core }),
        }
    }
    spans
}

/// The masters that are in every majority of masters that work and reach each other both ways; empty without one.
fn core(active: &[&Impact], masters: usize) -> BTreeSet<usize> {
    if active.iter().any(|impact| impact.slows) {
        return BTreeSet::new();
    }
    // One that is out may be back for a while, or long before it is said to serve: a majority may form with it or without it.
    let out: Vec<usize> = (0..masters).filter(|index| active.iter().any(|impact| impact.out.contains(index))).collect();
    let down = |set: u32| -> BTreeSet<usize> {
        out.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0).map(|(_, index)| *index).collect()
    };
    let sure = (0u32..1 << out.len()).map(|set| core_without(&down(set), active, masters));
    let shared = sure.reduce(|a, b| &a & &b).unwrap_or_default();
    shared.into_iter().filter(|index| !out.contains(index)).collect()
}

/// The same where it is known who is down.
fn core_without(down: &BTreeSet<usize>, active: &[&Impact], masters: usize) -> BTreeSet<usize> {
    let works = |index: usize| !down.contains(&index);
    let linked =
        |a: usize, b: usize| active.iter().all(|impact| !impact.cut.contains(&(a, b)) && !impact.cut.contains(&(b, a)));
    let mut core: Option<BTreeSet<usize>> = None;
    for set in 0u32..1 << masters {
        let members: BTreeSet<usize> = (0..masters).filter(|index| set & (1 << index) != 0).collect();
        let sound = members.iter().all(|a| works(*a) && members.iter().all(|b| linked(*a, *b)));
        if sound && members.len() > masters / 2 {
            // A larger side that could form decides; of two that cannot join, only what they share is certain.
            let grows = (0..masters)
                .any(|other| !members.contains(&other) && works(other) && members.iter().all(|a| linked(*a, other)));
            if !grows {
                core = Some(core.map_or_else(|| members.clone(), |core| &core & &members));
            }
        }
    }
    core.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_what_every_majority_shares() {
        let check = |masters: usize, out: &[usize], cut: &[(usize, usize)], expected: &[usize]| {
            let impact =
                Impact { out: out.iter().copied().collect(), cut: cut.iter().copied().collect(), ..Impact::default() };
            assert_eq!(core(&[&impact], masters), expected.iter().copied().collect(), "{masters} {out:?} {cut:?}");
        };
        check(3, &[], &[], &[0, 1, 2]);
        check(3, &[1], &[], &[0, 2]);
        check(3, &[0, 1], &[], &[]);
        // One way counts as none.
        check(3, &[], &[(0, 1)], &[2]);
        check(3, &[], &[(0, 1), (1, 0), (0, 2), (2, 0)], &[1, 2]);
        // A bridge: 2 reaches all, 0 and 1 do not reach 3 and 4.
        check(5, &[], &[(0, 3), (0, 4), (1, 3), (1, 4)], &[2]);
        // Without 1 the others could form one. When it is back, 0 may lead with it and with 2, whom 3 and 4 do not need to hear.
        check(5, &[1], &[(0, 3), (0, 4), (1, 3), (1, 4)], &[2]);
        // And where those cannot do without it, nobody is sure.
        check(5, &[2], &[(0, 3), (0, 4), (1, 3), (1, 4)], &[]);
        check(5, &[4], &[(0, 3), (0, 4), (1, 3), (1, 4)], &[2]);
        // A minority that restarts changes nothing for the others.
        check(5, &[4], &[(0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4)], &[0, 1, 2]);
    }

    #[test]
    fn a_fault_lasts_until_what_it_touched_serves_again() {
        let second = Duration::from_secs(1);
        let fault = Struck {
            nemesis: "kill",
            impact: Impact::out("kill m1".to_owned(), [0].into()),
            begun: second,
            ended: Some(second * 2),
            recovered: Some(second * 3),
        };
        let spans = spans(&[fault], 3, second * 5);
        let shape: Vec<(u64, u64, usize)> =
            spans.iter().map(|s| (s.begin.as_secs(), s.end.as_secs(), s.core.len())).collect();
        assert_eq!(shape, [(0, 1, 3), (1, 3, 2), (3, 5, 3)]);
    }
}
