//! A failing world made smaller: faults and work that it does not need are left out, and it ends sooner.

use std::fmt::Write as _;

use crate::faults;
use crate::fleet::Kind;
use crate::plan::{Plan, Strike};
use crate::run::Verdict;
use crate::shipped;
use crate::workloads;

/// Worlds tried at most.
const TRIES_MAX: usize = 150;

/// What of a seed's plan is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Strikes, by number.
    pub without: Vec<usize>,
    /// Clients of each workload, by row; `None` leaves them as drawn.
    pub clients: Option<Vec<(usize, u64)>>,
    /// Faults and work end then, microseconds.
    pub length_us: Option<u64>,
}

impl Cuts {
    /// The plan of a seed with this left out.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan::of(seed);
        self.leave_out(&mut plan.strikes, &mut plan.workloads, &mut plan.length_us);
        plan
    }

    /// The same of a world in which the consensus that ships runs.
    pub fn shipped(&self, seed: u64) -> shipped::plan::Plan {
        let mut plan = shipped::plan::Plan::of(seed);
        self.leave_out(&mut plan.strikes, &mut plan.workloads, &mut plan.length_us);
        plan
    }

    fn leave_out(&self, strikes: &mut Vec<Strike>, workloads: &mut Vec<(usize, u64)>, end_us: &mut u64) {
        let mut number = 0;
        strikes.retain(|_| {
            number += 1;
            !self.without.contains(&(number - 1))
        });
        if let Some(clients) = &self.clients {
            workloads.clone_from(clients);
        }
        if let Some(length_us) = self.length_us {
            *end_us = length_us;
            strikes.retain(|strike| strike.at_us < length_us);
        }
    }

    /// What is left of a seed.
    fn outline(&self, kind: Kind<'_>, seed: u64) -> Outline {
        match kind {
            Kind::Small => {
                let plan = self.plan(seed);
                let (members, length_us) = (plan.members, plan.length_us);
                Outline { members, length_us, strikes: plan.strikes, workloads: plan.workloads }
            }
            Kind::Shipped(_) => {
                let plan = self.shipped(seed);
                let (members, length_us) = (plan.members, plan.length_us);
                Outline { members, length_us, strikes: plan.strikes, workloads: plan.workloads }
            }
        }
    }

    /// The one command that replays it.
    pub fn command(&self, kind: Kind<'_>, seed: u64) -> String {
        let mut command = match kind {
            Kind::Small => format!("./x sim {seed}"),
            Kind::Shipped(_) => format!("./x sim --shipped {seed}"),
        };
        for argument in self.arguments() {
            let _ = write!(command, " {argument}");
        }
        command
    }

    /// The same as arguments.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if !self.without.is_empty() {
            let numbers: Vec<String> = self.without.iter().map(usize::to_string).collect();
            arguments.extend(["--without".to_owned(), numbers.join(",")]);
        }
        if let Some(clients) = &self.clients {
            let named: Vec<String> = if clients.is_empty() { vec!["none".to_owned()] } else { Vec::new() };
            let each = clients.iter().map(|(row, n)| format!("{}={n}", workloads::ALL[*row].name));
            let named: Vec<String> = named.into_iter().chain(each).collect();
            arguments.extend(["--clients".to_owned(), named.join(",")]);
        }
        if let Some(length_us) = self.length_us {
            arguments.extend(["--length-us".to_owned(), length_us.to_string()]);
        }
        arguments
    }
}

/// What all plans have.
struct Outline {
    members: u64,
    length_us: u64,
    strikes: Vec<Strike>,
    workloads: Vec<(usize, u64)>,
}

/// The smallest world found that fails in the same property, beginning with one from which this is left out.
pub fn shrink(
    kind: Kind<'_>,
    seed: u64,
    first: &Cuts,
    property: &str,
    run_one: impl Fn(&Cuts) -> Verdict,
) -> (Cuts, Verdict) {
    let mut best = first.clone();
    let mut verdict = run_one(&best);
    let mut tries = 0;
    let mut attempt = |cuts: Cuts, best: &mut Cuts, verdict: &mut Verdict| {
        tries += 1;
        if tries > TRIES_MAX || cuts == *best {
            return false;
        }
        let tried = run_one(&cuts);
        let fails = tried.findings.iter().any(|finding| finding.property == property);
        if fails {
            (*best, *verdict) = (cuts, tried);
        }
        fails
    };
    let whole = first.outline(kind, seed);
    // It need not go on after what was found.
    for factor in [1, 2, 4] {
        let found_us = verdict.findings.first().map_or(whole.length_us, |finding| finding.at_us);
        let length_us = whole.length_us.min(found_us / factor + 1);
        attempt(Cuts { length_us: Some(length_us), ..best.clone() }, &mut best, &mut verdict);
    }
    let mut chunk = whole.strikes.len().next_power_of_two();
    while chunk > 0 {
        for start in (0..whole.strikes.len()).step_by(chunk) {
            let mut without = best.without.clone();
            without.extend(start..(start + chunk).min(whole.strikes.len()));
            without.sort_unstable();
            without.dedup();
            attempt(Cuts { without, ..best.clone() }, &mut best, &mut verdict);
        }
        chunk /= 2;
    }
    for (row, _) in &whole.workloads {
        let clients = best.clients.clone().unwrap_or_else(|| whole.workloads.clone());
        let fewer: Vec<(usize, u64)> = clients.iter().copied().filter(|(other, _)| other != row).collect();
        if !attempt(Cuts { clients: Some(fewer), ..best.clone() }, &mut best, &mut verdict) {
            let one = clients.iter().map(|(other, n)| (*other, if other == row { 1 } else { *n })).collect();
            attempt(Cuts { clients: Some(one), ..best.clone() }, &mut best, &mut verdict);
        }
    }
    (best, verdict)
}

/// What people are told of a failure: the findings, the command, the faults that are left, and the end of the trace.
pub fn report(kind: Kind<'_>, seed: u64, cuts: &Cuts, verdict: &Verdict, steps: usize) -> String {
    let mut text = String::new();
    for finding in verdict.findings.iter().take(3) {
        let _ = writeln!(text, "seed {seed}, {} us: {}: {}", finding.at_us, finding.property, finding.text);
    }
    let _ = writeln!(text, "replay: {}", cuts.command(kind, seed));
    let plan = cuts.outline(kind, seed);
    let _ = writeln!(text, "{} members, {} us, faults:", plan.members, plan.length_us);
    for strike in &plan.strikes {
        let name = match kind {
            Kind::Small => faults::ALL[strike.fault].name,
            Kind::Shipped(_) => shipped::faults::ALL[strike.fault].name,
        };
        let _ = writeln!(text, "  at {:>8} us for {:>8} us: {name}", strike.at_us, strike.length_us);
    }
    let told = verdict.trace.steps();
    let shown = told.len().saturating_sub(steps);
    for step in told.iter().skip(shown).filter(|step| step.what != "beat") {
        let _ = writeln!(text, "{step}");
    }
    text
}
