//! Planted bugs: rounds against a binary that has one, until a checker finds it. Shows that the black box finds bugs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use planted_bugs::{Bug, VARIABLE};

use crate::progress::say;
use crate::round::{self, Finished, Plan};
use crate::{nemeses, workloads};

/// A bug must show within so much time: several times what the slowest to find takes mostly.
const BUDGET: Duration = Duration::from_secs(300);
/// Of one round's faults, mostly.
const SHORT: Duration = Duration::from_secs(6);
/// Of one round with faults that last for seconds: in a short one there is hardly room for any.
const LONG: Duration = Duration::from_secs(15);

/// Under what a bug shows: a general round finds it too, but takes its time.
struct Lure {
    bug: Bug,
    workloads: &'static [&'static str],
    nemeses: &'static [&'static str],
    round: Duration,
}

/// One row for each bug that the black box must find.
static LURES: &[Lure] = &[
    Lure { bug: Bug::NoFsync, workloads: &["set", "register"], nemeses: &["blackout"], round: SHORT },
    Lure { bug: Bug::StaleFollowerRead, workloads: &["register", "set"], nemeses: &["pause"], round: SHORT },
    // A round must take a while, so that something is written meanwhile, and somebody must come to read in the midst of it.
    Lure {
        bug: Bug::StaleReadIndex,
        workloads: &["register", "cas", "objects", "set"],
        nemeses: &["latency"],
        round: LONG,
    },
    // What a member sees to be wrong it refuses itself: only where members lag does much of it come to the log.
    Lure { bug: Bug::PreconditionIgnored, workloads: &["cas", "objects"], nemeses: &["latency"], round: LONG },
    Lure { bug: Bug::ResourceVersionSplicedWrong, workloads: &["cas", "watch"], nemeses: &[], round: SHORT },
    Lure { bug: Bug::NoChangeAsSeen, workloads: &["cas", "objects"], nemeses: &["latency"], round: LONG },
    Lure { bug: Bug::EventLostAtResume, workloads: &["watch"], nemeses: &[], round: SHORT },
    Lure { bug: Bug::EventRepeatedAtResume, workloads: &["watch"], nemeses: &[], round: SHORT },
    Lure { bug: Bug::RenewalForgotten, workloads: &["lease"], nemeses: &[], round: SHORT },
    Lure { bug: Bug::FenceIgnored, workloads: &["append", "bank", "lock"], nemeses: &[], round: SHORT },
];

/// How a site is made for a number of masters and a seed.
pub type MakeSite<'a> = &'a dyn Fn(usize, u64) -> std::sync::Arc<dyn crate::cluster::Site>;

/// Plants one bug after another, or the one that is named; fails for those that are not found.
///
/// # Errors
/// When one is not found, or there is no such bug, or a round cannot be run.
pub async fn run(only: Option<&str>, site: MakeSite<'_>, disks: bool) -> Result<()> {
    let bugs: Vec<Bug> = match only {
        Some(name) => vec![Bug::named(name).with_context(|| format!("there is no bug {name}"))?],
        None => planted_bugs::ALL.iter().copied().filter(|bug| bug.machines().jepsen).collect(),
    };
    let mut missed = Vec::new();
    for bug in bugs {
        let begun = Instant::now();
        match hunt(bug, site, disks).await.with_context(|| format!("hunting {}", bug.name()))? {
            Hunt::Found(how) => {
                say(&format!("{:<28} after {:>4.1} s: {how}", bug.name(), begun.elapsed().as_secs_f64()))
            }
            Hunt::Impossible(why) => say(&format!("{:<28} SKIPPED: {why}", bug.name())),
            Hunt::Missed => missed.push(bug.name()),
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    bail!("not found within {BUDGET:?} each: {}", missed.join(", "))
}

enum Hunt {
    Found(String),
    Missed,
    Impossible(&'static str),
}

async fn hunt(bug: Bug, site: MakeSite<'_>, disks: bool) -> Result<Hunt> {
    let lure = LURES.iter().find(|lure| lure.bug == bug).context("no lure: add a row")?;
    let begun = Instant::now();
    for seed in 1.. {
        if begun.elapsed() > BUDGET {
            break;
        }
        let site = site(3, seed);
        let nemeses: Vec<_> = lure.nemeses.iter().filter_map(|name| nemeses::named(name)).collect();
        if let Some(why) = nemeses.iter().find_map(|nemesis| nemesis.need.lacks(&*site, disks)) {
            return Ok(Hunt::Impossible(why));
        }
        let disks = nemeses.iter().any(|nemesis| nemesis.need == nemeses::Need::Disk);
        let plan = Plan {
            masters: 3,
            length: lure.round,
            seed,
            workloads: lure.workloads.iter().filter_map(|name| workloads::named(name)).collect(),
            nemeses,
            site,
            disks,
            environment: vec![(VARIABLE.to_owned(), bug.name().to_owned())],
            keep: false,
            talks: false,
        };
        if let Some(how) = found(&round::run(plan).await?) {
            return Ok(Hunt::Found(how));
        }
    }
    Ok(Hunt::Missed)
}

/// The first finding that is about what is stored and seen; that something was slow says nothing about a bug.
fn found(finished: &Finished) -> Option<String> {
    let told = finished.verdicts.iter().filter(|(checker, _)| checker.name != "available");
    told.filter_map(|(checker, verdict)| Some(format!("{}: {}", checker.name, verdict.anomalies.first()?.text))).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_for_the_black_box_has_a_lure_of_things_that_exist() {
        for bug in planted_bugs::ALL.iter().filter(|bug| bug.machines().jepsen) {
            assert!(LURES.iter().any(|lure| lure.bug == *bug), "no lure for {}", bug.name());
        }
        for lure in LURES {
            assert!(lure.workloads.iter().all(|name| workloads::named(name).is_some()), "{}", lure.bug.name());
            assert!(lure.nemeses.iter().all(|name| nemeses::named(name).is_some()), "{}", lure.bug.name());
        }
    }
}
