//! `sim SEED` replays one world, `sim --seeds N --from SEED` lives through many.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use planted_bugs::Bug;
use tests_sim::fleet::{self, one, sail};
use tests_sim::shrink::{Cuts, report, shrink};
use tests_sim::workloads;

/// The whole cluster in one thread from one seed.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// Replays this world and shows how it went.
    seed: Option<u64>,
    /// Lives through so many worlds.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Worlds at a time; as many as there are cores when absent.
    #[arg(long)]
    threads: Option<usize>,
    /// With this bug planted (a build with --features planted-bugs).
    #[arg(long)]
    bug: Option<String>,
    /// Leaves these faults of the seed out.
    #[arg(long, value_delimiter = ',')]
    without: Vec<usize>,
    /// Clients by workload: objects=2,watches=1.
    #[arg(long, value_delimiter = ',')]
    clients: Option<Vec<String>>,
    /// Faults and work end then.
    #[arg(long)]
    length_us: Option<u64>,
    /// Steps shown of a failing world.
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// Shows a failing world as it is, and does not make it smaller.
    #[arg(long)]
    whole: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("sim: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    // A closed pipe is no error.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn run(arguments: &Arguments) -> Result<bool> {
    let bug = match &arguments.bug {
        None => None,
        Some(name) => Some(Bug::named(name).with_context(|| format!("there is no bug {name}"))?),
    };
    match (arguments.seed, arguments.seeds) {
        (Some(seed), None) => replay(arguments, seed, bug),
        (None, Some(seeds)) => many(arguments, seeds, bug),
        _ => bail!("give one seed, or --seeds N"),
    }
}

fn cuts(arguments: &Arguments) -> Result<Cuts> {
    let mut clients = arguments.clients.as_ref().map(|_| Vec::new());
    for named in arguments.clients.iter().flatten().filter(|named| *named != "none") {
        let (name, count) = named.split_once('=').with_context(|| format!("{named} is not NAME=COUNT"))?;
        let row = workloads::ALL.iter().position(|workload| workload.name == name);
        let row = row.with_context(|| format!("there is no workload {name}"))?;
        clients.get_or_insert_with(Vec::new).push((row, count.parse()?));
    }
    Ok(Cuts { without: arguments.without.clone(), clients, length_us: arguments.length_us })
}

fn replay(arguments: &Arguments, seed: u64, bug: Option<Bug>) -> Result<bool> {
    let cuts = cuts(arguments)?;
    let verdict = one(cuts.plan(seed), bug);
    say(report(seed, &cuts, &verdict, arguments.steps).trim_end());
    say(&format!("trace {:016x}, {:?}", verdict.hash, verdict.work));
    Ok(verdict.findings.is_empty())
}

fn many(arguments: &Arguments, seeds: u64, bug: Option<Bug>) -> Result<bool> {
    let threads = match arguments.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    };
    let started = Instant::now();
    let fleet = sail(arguments.from, seeds, threads, bug);
    let (s, work) = (started.elapsed().as_secs_f64(), fleet.work);
    say(&format!(
        "{} worlds in {s:.1} s ({:.0} a second): {} writes, {} reads, {} events watched, {:.0} s of virtual time",
        fleet.worlds,
        fleet.worlds as f64 / s,
        work.writes,
        work.reads,
        work.watched,
        work.time_us as f64 / 1e6,
    ));
    let Some((seed, property)) = fleet.failed else {
        say("nothing found");
        return Ok(true);
    };
    fleet::plant(bug);
    let run_one = |cuts: &Cuts| one(cuts.plan(seed), bug);
    let (cuts, verdict) = match arguments.whole {
        true => (Cuts::default(), run_one(&Cuts::default())),
        false => shrink(seed, property, run_one),
    };
    say(report(seed, &cuts, &verdict, arguments.steps).trim_end());
    Ok(false)
}
