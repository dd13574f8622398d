//! Availability: on the majority's side no request fails, or waits, for longer than a second.

use std::time::Duration;

use super::{Checker, Evidence, Verdict};
use crate::cluster;
use crate::history::{End, Op};
use crate::majority::spans;
use crate::samples::Sample;

/// The row.
pub static CHECKER: Checker = Checker {
    name: "available",
    text: "no connected master of the majority's side lets requests fail or wait for longer than a second",
    check,
};

/// What a client may notice of a fault.
const LIMIT: Duration = Duration::from_secs(1);

/// Calls that are shown with an outage.
const CALLS_SHOWN: usize = 12;

/// A time in which a master had to serve.
struct Window {
    master: usize,
    begin: Duration,
    end: Duration,
}

fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let mut longest = Duration::ZERO;
    let mut watched = Duration::ZERO;
    let mut requests = 0;
    for window in windows(evidence) {
        let samples: Vec<&Sample> = evidence
            .samples
            .iter()
            .filter(|s| s.master == window.master && s.begun >= window.begin && s.begun < window.end)
            .collect();
        watched += window.end - window.begin;
        requests += samples.len();
        let outages = samples.iter().map(|sample| (outage(evidence, &window, &samples, sample), *sample));
        if let Some((outage, first)) = outages.max_by_key(|(outage, _)| *outage) {
            longest = longest.max(outage);
            let at = first.begun;
            if outage > LIMIT {
                let text = format!(
                    "{} served nobody for {outage:.1?} from {:.3} s on, when it was asked for a {} that {} after {:.3?}",
                    cluster::name(window.master),
                    at.as_secs_f64(),
                    if first.write { "change" } else { "read" },
                    if first.served { "was served" } else { "failed" },
                    first.ended - at,
                );
                verdict.find(text, around(evidence, window.master, at, at + outage));
            }
        }
    }
    if requests > 0 {
        verdict.looked_at = format!(
            "{requests} requests in {:.0} master-seconds, the longest wait {:.0} ms, beside {:.1} of {:.0} s in which this \
             machine kept us waiting",
            watched.as_secs_f64(),
            longest.as_secs_f64() * 1000.0,
            evidence.waits.within(Duration::ZERO, evidence.length).as_secs_f64(),
            evidence.length.as_secs_f64(),
        );
    }
    verdict
}

/// Times in which each master was in the core, without interruption.
fn windows(evidence: &Evidence) -> Vec<Window> {
    let spans = spans(&evidence.faults, evidence.masters, evidence.length);
    let mut windows: Vec<Window> = Vec::new();
    for master in 0..evidence.masters {
        let mut open: Option<Window> = None;
        for span in &spans {
            if !span.core.contains(&master) {
                windows.extend(open.take());
                continue;
            }
            open.get_or_insert(Window { master, begin: span.begin, end: span.end }).end = span.end;
        }
        windows.extend(open);
    }
    windows
}

/// Calls of a master at that time that failed or took long: what its clients were told.
fn around(evidence: &Evidence, master: usize, from: Duration, until: Duration) -> Vec<Op> {
    let slow = |op: &&Op| op.completed.is_none_or(|completed| completed - op.invoked > LIMIT / 2);
    let lost = |op: &&Op| matches!(op.end, End::Fail(_) | End::Info(_));
    let there = evidence.ops.iter().filter(|op| op.master == master && op.invoked >= from && op.invoked < until);
    there.filter(|op| slow(op) || lost(op)).take(CALLS_SHOWN).cloned().collect()
}

/// How long a request was without service: until it was served itself, or when it failed, until any other was that
/// ended later. A change that contends with others for its object is served when any change is that came after it: what it
/// waits for beyond that is its turn. Time in which this machine let us wait for a processor does not count.
fn outage(evidence: &Evidence, window: &Window, samples: &[&Sample], sample: &Sample) -> Duration {
    let over = if sample.served && sample.contends {
        let later = samples.iter().filter(|other| other.write && other.served && other.begun >= sample.begun);
        later.map(|other| other.ended).fold(sample.ended, Duration::min)
    } else if sample.served {
        sample.ended
    } else if sample.ended - sample.begun > LIMIT {
        // It hung, whatever became of others.
        sample.ended
    } else {
        samples.iter().find(|other| other.served && other.ended >= sample.ended).map_or(window.end, |other| other.ended)
    };
    let over = over.min(window.end);
    over.saturating_sub(sample.begun).saturating_sub(evidence.waits.within(sample.begun, over))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemeses::{Impact, Struck};

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// A change at m1.
    fn change((begun, ended, served): (u64, u64, bool)) -> Sample {
        Sample { master: 0, begun: ms(begun), ended: ms(ended), served, write: true, contends: false }
    }

    /// Changes at m1 as (begun, ended, served), with m2 out from 1 s to 3 s, or m1 itself.
    fn anomalies(requests: &[(u64, u64, bool)], out: usize) -> usize {
        anomalies_beside(requests.iter().copied().map(change).collect(), out, &[])
    }

    /// The same on a machine that kept us waiting at these times.
    fn anomalies_beside(samples: Vec<Sample>, out: usize, waits: &[(u64, u64)]) -> usize {
        let fault = Struck {
            nemesis: "kill",
            impact: Impact::out(String::new(), [out].into()),
            begun: ms(1000),
            ended: Some(ms(2000)),
            recovered: Some(ms(3000)),
        };
        let waits = waits.iter().map(|(from, until)| (ms(*from), ms(*until))).collect();
        let faults = vec![fault];
        let evidence = Evidence { masters: 3, length: ms(10_000), samples, faults, waits, ..Evidence::default() };
        check(&evidence).anomalies.len()
    }

    #[test]
    fn a_second_is_the_limit_on_the_majoritys_side() {
        assert_eq!(anomalies(&[(1100, 1900, true)], 1), 0);
        assert_eq!(anomalies(&[(1100, 2200, true)], 1), 1, "it waited too long");
        assert_eq!(anomalies(&[(1100, 1200, false), (1300, 1400, true)], 1), 0, "it failed for a moment");
        assert_eq!(anomalies(&[(1100, 1200, false), (2300, 2400, true)], 1), 1, "it failed for too long");
        assert_eq!(anomalies(&[(1100, 2900, false)], 0), 0, "the master itself was out");
    }

    #[test]
    fn waiting_for_a_processor_is_not_the_clusters_fault() {
        let check =
            |wait, expected| assert_eq!(anomalies_beside(vec![change((1100, 2200, true))], 1, &[wait]), expected);
        check((1200, 1350), 0);
        check((1200, 1250), 1);
        check((100, 900), 1);
    }

    #[test]
    fn who_contends_waits_for_its_turn_and_not_for_the_master() {
        let check = |others: &[(u64, u64, bool)], expected: usize, why: &str| {
            let mut samples = vec![Sample { contends: true, ..change((1100, 2400, true)) }];
            samples.extend(others.iter().copied().map(change));
            samples.sort_by_key(|sample| sample.ended);
            assert_eq!(anomalies_beside(samples, 1, &[]), expected, "{why}");
        };
        check(&[(1200, 1300, true)], 0, "another change that came later was served");
        check(&[], 1, "nobody was served");
        check(&[(1000, 1300, true)], 1, "the other came before: it tells nothing of the time after");
        check(&[(1200, 1300, false)], 1, "the other failed, and nobody was served for too long");
    }
}
