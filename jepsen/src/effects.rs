//! What clients see of each kind of fault, and for how long.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checkers::Evidence;
use crate::majority::spans;

/// Of all faults of one nemesis together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Effect {
    /// How many there were.
    pub faults: usize,
    /// Requests to masters of the majority's side while they lasted, until all served again.
    pub requests: usize,
    /// Those of them that were not served.
    pub failed: usize,
    /// The longest that one of them took to be served.
    pub slowest: Duration,
    /// The longest from a fault's end until all masters that it touched served again.
    pub recovery: Duration,
}

/// By nemesis. Where faults overlap, each counts what both caused.
pub fn effects(evidence: &Evidence) -> BTreeMap<&'static str, Effect> {
    let spans = spans(&evidence.faults, evidence.masters, evidence.length);
    let mut effects: BTreeMap<&'static str, Effect> = BTreeMap::new();
    for fault in &evidence.faults {
        let effect = effects.entry(fault.nemesis).or_default();
        effect.faults += 1;
        let Some((ended, recovered)) = fault.ended.zip(fault.recovered) else { continue };
        effect.recovery = effect.recovery.max(recovered.saturating_sub(ended));
        for sample in evidence.samples.iter().filter(|s| s.begun >= fault.begun && s.begun < recovered) {
            // Of the majority's side all the time: what a fault does to a master that it takes out says nothing.
            let healthy = spans
                .iter()
                .filter(|span| span.begin < sample.ended && sample.begun < span.end)
                .all(|span| span.core.contains(&sample.master));
            if healthy {
                effect.requests += 1;
                effect.failed += usize::from(!sample.served);
                if sample.served {
                    effect.slowest = effect.slowest.max(sample.ended - sample.begun);
                }
            }
        }
    }
    effects
}

/// As lines of a table, for a terminal.
pub fn table(evidence: &Evidence) -> Vec<String> {
    let title = format!(
        "{:<14}{:>7}{:>10}{:>8}{:>12}{:>12}",
        "fault", "times", "requests", "failed", "slowest ms", "recovery ms"
    );
    let rows = effects(evidence).into_iter().map(|(nemesis, effect)| {
        format!(
            "{nemesis:<14}{:>7}{:>10}{:>8}{:>12}{:>12}",
            effect.faults,
            effect.requests,
            effect.failed,
            effect.slowest.as_millis(),
            effect.recovery.as_millis()
        )
    });
    std::iter::once(title).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemeses::{Impact, Struck};
    use crate::samples::Sample;

    #[test]
    fn only_the_majoritys_side_counts() {
        let second = Duration::from_secs(1);
        let sample = |master: usize, begun: u32, served: bool| Sample {
            master,
            begun: second * begun,
            ended: second * begun + second / 2,
            served,
            write: false,
            contends: false,
        };
        let fault = Struck {
            nemesis: "kill",
            impact: Impact::out(String::new(), [0].into()),
            begun: second * 2,
            ended: Some(second * 4),
            recovered: Some(second * 5),
        };
        let evidence = Evidence {
            masters: 3,
            length: second * 9,
            samples: vec![sample(1, 1, false), sample(1, 3, true), sample(2, 3, false), sample(0, 3, false)],
            faults: vec![fault],
            ..Evidence::default()
        };
        let expected = Effect { faults: 1, requests: 2, failed: 1, slowest: second / 2, recovery: second };
        assert_eq!(effects(&evidence)["kill"], expected);
    }
}
