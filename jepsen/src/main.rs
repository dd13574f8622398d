//! `./x chaos`: rounds of faults on a cluster of real processes, judged.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use jepsen::cluster::compose::Compose;
use jepsen::cluster::disk::Disk;
use jepsen::cluster::network::{self, Link, Network};
use jepsen::cluster::{Loopback, Site};
use jepsen::nemeses::Nemesis;
use jepsen::progress::{say, summary};
use jepsen::round::{self, Finished, Plan};
use jepsen::workloads::Workload;
use jepsen::{cluster, edn, nemeses, planted, report, workloads};

/// A cluster of real processes under faults, and checkers that judge what its clients saw.
#[derive(Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// How long faults go on, all rounds together.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// 3 or 5; without it, half of the time each.
    #[arg(long)]
    masters: Option<usize>,
    /// Fixes the schedule and the clients' choices; drawn when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these workloads; `list` names all.
    #[arg(long, value_delimiter = ',')]
    workload: Vec<String>,
    /// Only these nemeses; `list` names all, `none` is none.
    #[arg(long, value_delimiter = ',')]
    nemesis: Vec<String>,
    /// Packets between masters are so many milliseconds late, one way, unless a fault makes it worse.
    #[arg(long, default_value_t = 0, value_name = "MS", conflicts_with = "loopback")]
    latency: u64,
    /// All masters on loopback, also where each could have a network namespace of its own.
    #[arg(long)]
    loopback: bool,
    /// The compose cluster, with the faults that containers know: docker-compose.yml under this machine's docker engine, or one
    /// that is started for it.
    #[arg(long, conflicts_with_all = ["loopback", "latency", "planted"])]
    compose: bool,
    /// The first of forty ports on loopback.
    #[arg(long, default_value_t = 26_000)]
    base_port: u16,
    /// Where histories go.
    #[arg(long, default_value = "target/chaos")]
    out: PathBuf,
    /// Shows that planted bugs are found: all, or the one that is named. TRIREME_BIN must name a binary that has them.
    #[arg(long, value_name = "BUG", num_args = 0..=1, default_missing_value = "all")]
    planted: Option<String>,
    /// Keeps the cluster's folder with its logs and data.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before any thread is there: all of them shall live in the clients' namespace.
    let apart =
        if arguments.loopback || arguments.compose { Err(anyhow::anyhow!("as asked")) } else { network::enter() };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("chaos: {error}"));
            return ExitCode::from(2);
        }
    };
    // Interrupted or not, the runtime is dropped at the end, and with it every process that it holds.
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(arguments, apart) => outcome,
            signal = interrupted() => Err(signal),
        }
    });
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(anomalies) => {
            say(&format!("{anomalies} anomalies"));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("chaos: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Ends when somebody wants us to.
async fn interrupted() -> anyhow::Error {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    anyhow::anyhow!("interrupted")
}

/// The compose cluster when it is asked for; else namespaces where this machine lets us, else loopback.
fn site(masters: usize, seed: u64, arguments: &Arguments, apart: &Result<()>) -> Result<Arc<dyn Site>> {
    if arguments.compose {
        return Ok(Arc::new(Compose::new(masters).context("the compose cluster cannot be had here")?));
    }
    Ok(processes(masters, seed, arguments, apart))
}

/// A place for processes.
fn processes(masters: usize, seed: u64, arguments: &Arguments, apart: &Result<()>) -> Arc<dyn Site> {
    let late = Duration::from_millis(arguments.latency);
    let made = match apart {
        Ok(()) => Network::new(masters, seed, Link { late_min: late, late_max: late, ..Link::default() }),
        Err(why) => Err(anyhow::anyhow!("{why:#}")),
    };
    match made {
        Ok(network) => Arc::new(network),
        Err(why) => {
            say(&format!("all masters on loopback: {why:#}"));
            Arc::new(Loopback { base_port: arguments.base_port })
        }
    }
}

/// Those that are possible here; says which are not, and why.
fn possible(nemeses: Vec<&'static Nemesis>, site: &dyn Site, disks: bool, named: bool) -> Vec<&'static Nemesis> {
    let mut kept = Vec::new();
    for nemesis in nemeses {
        match nemesis.need.lacks(site, disks) {
            None => kept.push(nemesis),
            // Nobody asked for what belongs to another kind of place.
            Some(_) if !named && nemesis.need.is_elsewhere(site) => {}
            Some(why) => say(&format!("SKIPPED: nemesis {}: {why}", nemesis.name)),
        }
    }
    kept
}

/// Those that this binary can serve; says which it cannot.
fn speakable(mut workloads: Vec<&'static Workload>, etcd: bool) -> Vec<&'static Workload> {
    workloads.retain(|workload| {
        let possible = workload.need == workloads::Need::Nothing || etcd;
        if !possible {
            say(&format!("SKIPPED: workload {}: masters do not serve etcd's API here", workload.name));
        }
        possible
    });
    workloads
}

async fn run(arguments: Arguments, apart: Result<()>) -> Result<usize> {
    let asks_for_list = |names: &[String]| names.iter().any(|name| name == "list");
    if asks_for_list(&arguments.workload) || asks_for_list(&arguments.nemesis) {
        workloads::ALL.iter().for_each(|w| say(&format!("workload {:<12} {}", w.name, w.text)));
        nemeses::ALL.iter().for_each(|n| say(&format!("nemesis  {:<12} {}", n.name, n.text)));
        return Ok(0);
    }
    let sizes = match arguments.masters {
        None => vec![3, 5],
        Some(masters @ (3 | 5)) => vec![masters],
        Some(other) => bail!("--masters {other}: 3 or 5"),
    };
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let length = Duration::from_secs_f64(arguments.minutes * 60.0 / sizes.len() as f64);
    let disks =
        !arguments.compose && Disk::possible().inspect_err(|why| say(&format!("ordinary disks: {why:#}"))).is_ok();
    if let Some(bug) = &arguments.planted {
        let make = |masters, seed| processes(masters, seed, &arguments, &apart);
        planted::run(Some(bug.as_str()).filter(|bug| *bug != "all"), &make, disks).await?;
        return Ok(0);
    }
    let etcd = cluster::speaks_etcd()?;
    let mut anomalies = 0;
    for masters in sizes {
        say(&format!("seed {seed}, {masters} masters, {:.0} s", length.as_secs_f64()));
        let site = site(masters, seed, &arguments, &apart)?;
        let nemeses = chosen(&arguments.nemesis, nemeses::ALL, nemeses::named)?;
        let plan = Plan {
            masters,
            length,
            seed,
            workloads: speakable(chosen(&arguments.workload, workloads::ALL, workloads::named)?, etcd),
            nemeses: possible(nemeses, &*site, disks, !arguments.nemesis.is_empty()),
            site,
            disks,
            environment: Vec::new(),
            keep: arguments.keep,
            talks: true,
        };
        let finished = round::run(plan).await?;
        summary(&finished);
        let folder = arguments.out.join(format!("{seed}-{masters}"));
        let again = replay(&arguments, seed, masters);
        write(&folder, &finished, &again).with_context(|| format!("writing {}", folder.display()))?;
        say(&format!("report and histories: {}", folder.display()));
        if let Some(folder) = &finished.folder {
            say(&format!("logs and data: {}", folder.display()));
        }
        if finished.anomalies() > 0 {
            say(&format!("again: {again}"));
        }
        ensure!(!finished.evidence.ops.is_empty(), "no client made a call: the round shows nothing");
        anomalies += finished.anomalies();
    }
    Ok(anomalies)
}

/// The rows that were named, or all.
fn chosen<T: Copy>(names: &[String], all: &[T], named: fn(&str) -> Option<T>) -> Result<Vec<T>> {
    match names {
        [] => Ok(all.to_vec()),
        [none] if none == "none" => Ok(Vec::new()),
        names => names.iter().map(|name| named(name).with_context(|| format!("there is no {name}"))).collect(),
    }
}

/// The report, and one history a workload in EDN.
fn write(folder: &std::path::Path, finished: &Finished, again: &str) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let title = format!("Chaos: {}", folder.file_name().unwrap_or_default().to_string_lossy());
    std::fs::write(folder.join("report.html"), report::page(&title, again, finished))?;
    for workload in workloads::ALL {
        let ops: Vec<_> = finished.evidence.of(workload.name).cloned().collect();
        if !ops.is_empty() {
            std::fs::write(folder.join(format!("{}.edn", workload.name)), edn::write(&ops))?;
        }
    }
    Ok(())
}

fn replay(arguments: &Arguments, seed: u64, masters: usize) -> String {
    let sizes = if arguments.masters.is_some() { 1.0 } else { 2.0 };
    let mut command = format!("./x chaos --seed {seed} --masters {masters} --minutes {}", arguments.minutes / sizes);
    if arguments.latency > 0 {
        command.push_str(&format!(" --latency {}", arguments.latency));
    }
    for (option, given) in [(" --loopback", arguments.loopback), (" --compose", arguments.compose)] {
        command.push_str(if given { option } else { "" });
    }
    for (option, names) in [("workload", &arguments.workload), ("nemesis", &arguments.nemesis)] {
        if !names.is_empty() {
            command.push_str(&format!(" --{option} {}", names.join(",")));
        }
    }
    command
}
