//! `sim SEED` replays one world, `sim --seeds N --from SEED` lives through many.

mod entropy;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use planted_bugs::Bug;
use tests_sim::fleet::{self, Fleet, Kind, Voyage};
use tests_sim::shipped;
use tests_sim::shrink::{Cuts, report, shrink};
use tests_sim::workloads;

/// A fifth of a world's time goes to memory that is asked for and given back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The whole cluster in one thread from one seed.
#[derive(Parser)]
#[command(name = "sim")]
struct Arguments {
    /// Replays this world and shows how it went.
    seed: Option<u64>,
    /// Lives through so many worlds.
    #[arg(long)]
    seeds: Option<u64>,
    /// Worlds in which the consensus that ships runs, not the small ones on a model of it.
    #[arg(long)]
    shipped: bool,
    /// One of those in this very process, told in few words: what a process of its own is for.
    #[arg(long, hide = true)]
    alone: bool,
    /// As many worlds as begin within so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
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
    /// Says what members log, as RUST_LOG would have it: manager=debug.
    #[arg(long)]
    log: Option<String>,
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
    if let Some(filter) = &arguments.log {
        tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
    let bug = match &arguments.bug {
        None => None,
        Some(name) => Some(Bug::named(name).with_context(|| format!("there is no bug {name}"))?),
    };
    if bug.is_some() && !planted_bugs::ACTIVE {
        bail!("this build has no planted bugs: build with --features planted-bugs");
    }
    match (arguments.seed, arguments.seeds, arguments.seconds) {
        (Some(seed), None, None) if arguments.alone => alone(arguments, seed, bug),
        (Some(seed), None, None) => replay(arguments, seed, bug),
        (None, Some(seeds), _) => many(arguments, seeds, bug),
        (None, None, Some(_)) => many(arguments, u64::MAX - arguments.from, bug),
        _ => bail!("give one seed, or --seeds N, or --seconds S"),
    }
}

fn kind<'a>(arguments: &Arguments, binary: &'a Path) -> Kind<'a> {
    if arguments.shipped { Kind::Shipped(binary) } else { Kind::Small }
}

/// Lives a world through in this process.
fn alone(arguments: &Arguments, seed: u64, bug: Option<Bug>) -> Result<bool> {
    fleet::plant(bug);
    let verdict = shipped::run::run(cuts(arguments)?.shipped(seed));
    say(shipped::process::tell(&verdict, arguments.steps).trim_end());
    Ok(verdict.findings.is_empty())
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
    let (cuts, binary) = (cuts(arguments)?, std::env::current_exe()?);
    let kind = kind(arguments, &binary);
    let verdict = kind.one(seed, &cuts, bug, arguments.steps);
    say(report(kind, seed, &cuts, &verdict, arguments.steps).trim_end());
    say(&format!("trace {:016x}, {:?}", verdict.hash, verdict.work));
    Ok(verdict.findings.is_empty())
}

fn many(arguments: &Arguments, seeds: u64, bug: Option<Bug>) -> Result<bool> {
    let threads = match arguments.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    };
    let started = Instant::now();
    let until = arguments.seconds.map(|seconds| started + Duration::from_secs(seconds));
    let binary = std::env::current_exe()?;
    let kind = kind(arguments, &binary);
    let told = |fleet: &Fleet| say(&format!("{} worlds, nothing found yet", fleet.worlds));
    let first = cuts(arguments)?;
    let clients = first.clients.as_deref();
    let fleet = Voyage { kind, from: arguments.from, seeds, until, threads, bug, clients, told: Some(told) }.sail();
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
        say(&format!("nothing found; traces {:016x}", fleet.hash));
        return Ok(true);
    };
    let run_one = |cuts: &Cuts| kind.one(seed, cuts, bug, arguments.steps);
    let (cuts, verdict) = match arguments.whole {
        true => (first.clone(), run_one(&first)),
        false => shrink(kind, seed, &first, property, run_one),
    };
    say(report(kind, seed, &cuts, &verdict, arguments.steps).trim_end());
    Ok(false)
}
