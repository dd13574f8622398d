//! Life: no master ends unless it is told to, and all serve when the faults are over.

use std::time::Duration;

use super::{Checker, Evidence, Verdict};

/// The row.
pub static CHECKER: Checker =
    Checker { name: "alive", text: "no master ends by itself, and all serve again when the faults are over", check };

fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::clean(format!("{} masters, {} faults", evidence.masters, evidence.faults.len()));
    let excused = |at: Duration, master: usize| {
        evidence.faults.iter().any(|fault| {
            let over = fault.recovered.unwrap_or(Duration::MAX);
            fault.impact.may_end.contains(&master) && fault.begun <= at && at <= over
        })
    };
    for (at, master, how) in evidence.deaths.iter().filter(|(at, master, _)| !excused(*at, *master)) {
        verdict.find(format!("m{} ended by itself at {:.3} s: {how}", master + 1, at.as_secs_f64()), Vec::new());
    }
    for why in &evidence.stuck {
        verdict.find(why.clone(), Vec::new());
    }
    verdict
}
