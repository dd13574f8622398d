//! What a person sees while a round runs, and when it is over.

use std::io::Write as _;
use std::time::Duration;

use crate::cluster;
use crate::round::Finished;
use crate::world::World;

/// Between two lines.
const EVERY: Duration = Duration::from_secs(5);
/// Anomalies of a checker that are shown whole.
const SHOWN_MAX: usize = 3;
/// Calls of a history that are shown.
const CALLS_MAX: usize = 24;

/// Prints a line. A closed pipe is no error.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line now and then until the round is over.
pub async fn watch(world: &World, length: Duration) {
    loop {
        world.pause(EVERY).await;
        if world.is_over() {
            return;
        }
        let (calls, failed, unknown) = world.recorder.counts();
        let sight = world.timeline.last();
        let leader = sight.as_ref().and_then(|sight| sight.leader).map_or_else(|| "nobody".to_owned(), cluster::name);
        let term = sight.map_or(0, |sight| sight.term);
        let faults = world.faults.under_way().join("; ");
        say(&format!(
            "{:>5.0} of {:.0} s  {calls} calls, {failed} refused or failed, {unknown} unknown  {leader} leads in term {term}  {}",
            world.recorder.now().as_secs_f64(),
            length.as_secs_f64(),
            if faults.is_empty() { "calm".to_owned() } else { faults },
        ));
    }
}

/// Prints what a round came to.
pub fn summary(finished: &Finished) {
    say("what clients on the majority's side saw:");
    crate::effects::table(&finished.evidence).iter().for_each(|line| say(&format!("    {line}")));
    for (checker, verdict) in &finished.verdicts {
        if verdict.looked_at.is_empty() && verdict.anomalies.is_empty() {
            continue;
        }
        let mark = if verdict.anomalies.is_empty() { "ok " } else { "BAD" };
        say(&format!("{mark} {:<14} {}: {}", checker.name, checker.text, verdict.looked_at));
        for anomaly in verdict.anomalies.iter().take(SHOWN_MAX) {
            say(&format!("      {}", anomaly.text));
            for line in crate::edn::write(&anomaly.history).lines().take(CALLS_MAX * 2) {
                say(&format!("        {line}"));
            }
        }
        if verdict.anomalies.len() > SHOWN_MAX {
            say(&format!("      and {} more", verdict.anomalies.len() - SHOWN_MAX));
        }
    }
}
