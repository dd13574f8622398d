//! `./x bench crash`: power failure of the whole cluster, again and again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::Rng;
use serde_json::json;
use tests_e2e::Cluster;
use tokio::sync::watch;

use crate::failover::wait_for;
use crate::ledger::{Ledger, summary_ms};

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How many times all masters are killed at once.
    #[arg(long, default_value_t = 200)]
    crashes: usize,
    /// Writers on each master.
    #[arg(long, default_value_t = 4)]
    writers: usize,
    /// Fail unless the targets hold (nothing lost or doubled, every restart serves within 3 s).
    #[arg(long)]
    check: bool,
}

/// Runs the benchmark and prints its table.
///
/// # Errors
/// When a restart does not serve, or with `--check` when a target is missed.
pub async fn run(args: Args) -> Result<()> {
    let cluster = Cluster::up(3, 0)?;
    let ledger = Ledger::default();
    let mut restarts = Vec::new();
    for number in 1..=args.crashes {
        let restart =
            crash(&cluster, &ledger, args.writers, number).await.with_context(|| format!("crash {number}"))?;
        println!("crash {number:>3}: serves again after {:>4} ms", restart.as_millis());
        restarts.push(restart);
        if number % 20 == 0 || number == args.crashes {
            let verdict = ledger.judge(&cluster.client(number % 3).await?).await?;
            anyhow::ensure!(verdict.lost == 0 && verdict.doubled == 0, "after crash {number}: {verdict:?}");
        }
    }
    let mut verdicts = Vec::new();
    for index in 0..3 {
        verdicts.push(ledger.judge(&cluster.client(index).await?).await?);
    }
    let (lost, doubled) = verdicts.iter().fold((0, 0), |(l, d), v| (l.max(v.lost), d.max(v.doubled)));
    let restart = summary_ms(restarts);
    println!(
        "{:#}",
        json!({
            "benchmark": "crash", "crashes": args.crashes, "writers": args.writers * 3, "serves_again_ms": restart,
            "acknowledged": verdicts[0].acknowledged, "lost": lost, "applied_twice": doubled,
        })
    );
    if args.check {
        let kept = restart["longest"].as_f64() <= Some(3000.0) && lost == 0 && doubled == 0;
        anyhow::ensure!(kept, "a target of the crash benchmark is missed");
    }
    Ok(())
}

async fn crash(cluster: &Cluster, ledger: &Ledger, writers: usize, number: usize) -> Result<Duration> {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    let begun = Instant::now();
    for master in 0..3 {
        let client = cluster.client(master).await?;
        for writer in 0..writers {
            let name = format!("c{number}-m{master}-w{writer}");
            tasks.push(tokio::spawn(ledger.clone().write(client.clone(), master, name, stopped.clone())));
        }
    }
    wait_for(Duration::from_secs(10), || ledger.next_acknowledged(begun, &[0, 1, 2]).is_some()).await?;
    let pause = rand::rng().random_range(0..300);
    tokio::time::sleep(Duration::from_millis(pause)).await;
    for name in ["m1", "m2", "m3"] {
        cluster.kill(name)?;
    }
    stop.send_replace(true);
    for task in tasks {
        task.await?;
    }
    let restarted = Instant::now();
    // All three at once, as after a power failure: one alone has no quorum to serve with.
    std::thread::scope(|scope| {
        let starts: Vec<_> =
            ["m1", "m2", "m3"].map(|name| scope.spawn(move || cluster.start(name))).into_iter().collect();
        starts.into_iter().try_for_each(|start| start.join().expect("a start does not panic"))
    })?;
    Ok(restarted.elapsed())
}
