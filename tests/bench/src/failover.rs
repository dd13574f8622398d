//! `./x bench failover`: leaders killed with SIGKILL, load on the survivors.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tests_e2e::{Client, Cluster};
use tokio::sync::watch;

use crate::ledger::{Ledger, summary_ms};

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Leaders to kill, one after another.
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Writers on each surviving master.
    #[arg(long, default_value_t = 8)]
    writers: usize,
    /// Fail unless the targets hold (500 ms to the next write, 1 s to the next bound pod, nothing failed, lost, doubled).
    #[arg(long)]
    check: bool,
}

struct Round {
    write: Duration,
    bound: Duration,
    failed: usize,
}

/// Runs the benchmark and prints its table.
///
/// # Errors
/// When the cluster does not come back, or with `--check` when a target is missed.
pub async fn run(args: Args) -> Result<()> {
    let cluster = Cluster::up(3, 5)?;
    let ledger = Ledger::default();
    let mut rounds = Vec::new();
    for number in 1..=args.kills {
        let round =
            kill_leader(&cluster, &ledger, args.writers, number).await.with_context(|| format!("kill {number}"))?;
        println!(
            "kill {number:>3}: next write after {:>4} ms, next bound pod after {:>4} ms, failed on survivors: {}",
            round.write.as_millis(),
            round.bound.as_millis(),
            round.failed
        );
        rounds.push(round);
    }
    let mut verdicts = Vec::new();
    for index in 0..3 {
        verdicts.push(ledger.judge(&cluster.client(index).await?).await?);
    }
    let failed: usize = rounds.iter().map(|r| r.failed).sum();
    let write = summary_ms(rounds.iter().map(|r| r.write).collect());
    let bound = summary_ms(rounds.iter().map(|r| r.bound).collect());
    let (lost, doubled) = verdicts.iter().fold((0, 0), |(l, d), v| (l.max(v.lost), d.max(v.doubled)));
    let result = json!({
        "benchmark": "failover", "kills": args.kills, "writers": args.writers * 2,
        "next_write_ms": write, "next_bound_pod_ms": bound, "failed_on_survivors": failed,
        "acknowledged": verdicts[0].acknowledged, "lost": lost, "applied_twice": doubled,
    });
    println!("{result:#}");
    if args.check {
        let kept = write["longest"].as_f64() <= Some(500.0) && bound["longest"].as_f64() <= Some(1000.0);
        anyhow::ensure!(
            kept && failed == 0 && lost == 0 && doubled == 0,
            "a target of the failover benchmark is missed"
        );
    }
    Ok(())
}

/// One round: load on the survivors-to-be, the leader dies, load goes on, the dead master comes back.
async fn kill_leader(cluster: &Cluster, ledger: &Ledger, writers: usize, number: usize) -> Result<Round> {
    let leader = cluster.leader().await?;
    let survivors: Vec<usize> = (0..3).filter(|i| *i != leader).collect();
    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    for &master in &survivors {
        let client = cluster.client(master).await?;
        for writer in 0..writers {
            let name = format!("r{number}-m{master}-w{writer}");
            tasks.push(tokio::spawn(ledger.clone().write(client.clone(), master, name, stopped.clone())));
        }
    }
    let begun = Instant::now();
    let pods = tokio::spawn(bind_pods(cluster.client(survivors[0]).await?, number, stopped.clone()));
    // Load must be flowing before the blow, else the first write would measure its own start.
    wait_for(Duration::from_secs(10), || ledger.next_acknowledged(begun, &survivors).is_some()).await?;
    tokio::time::sleep(Duration::from_millis(200 + 37 * (number as u64 % 10))).await;

    let killed = Instant::now();
    cluster.kill(&format!("m{}", leader + 1))?;
    wait_for(Duration::from_secs(20), || ledger.next_acknowledged(killed, &survivors).is_some()).await?;
    let write = ledger.next_acknowledged(killed, &survivors).context("a write after the kill")?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stop.send_replace(true);
    for task in tasks {
        task.await?;
    }
    let bindings = pods.await??;
    let bound = bindings.iter().filter(|(sent, _)| *sent > killed).map(|(_, bound)| *bound - killed).min();
    let failed = ledger.failures(&survivors, begun).len();
    cluster.start(&format!("m{}", leader + 1))?;
    Ok(Round { write, bound: bound.context("no pod was bound within 1.5 s of the kill")?, failed })
}

/// Creates a pod every 20 ms and notes when each was created and when it was seen bound.
async fn bind_pods(client: Client, round: usize, stop: watch::Receiver<bool>) -> Result<Vec<(Instant, Instant)>> {
    let path = "/api/v1/namespaces/default/pods";
    let list = client.get(&format!("{path}?limit=1")).await?.success()?;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
    let mut events =
        client.watch(&format!("{path}?watch=true&labelSelector=round%3D{round}&resourceVersion={version}")).await?;
    let creating = {
        let (client, stop) = (client.clone(), stop.clone());
        tokio::spawn(async move {
            let mut sent = std::collections::BTreeMap::new();
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            for number in 0.. {
                tick.tick().await;
                if *stop.borrow() {
                    break;
                }
                let name = format!("round-{round}-{number}");
                let pod = json!({
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": name, "labels": {"round": round.to_string()}},
                    "spec": {"containers": [{"name": "c", "image": "pause"}], "terminationGracePeriodSeconds": 0},
                });
                let moment = Instant::now();
                if client.post("/api/v1/namespaces/default/pods", &pod).await.is_ok_and(|r| r.status.is_success()) {
                    sent.insert(name, moment);
                }
            }
            sent
        })
    };
    let mut bound = std::collections::BTreeMap::new();
    let mut stop = stop;
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some(event) = event else { break };
        let object = &event["object"];
        if object["spec"]["nodeName"].is_string() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            bound.entry(name).or_insert_with(Instant::now);
        }
    }
    let sent = creating.await?;
    client.delete(&format!("{path}?labelSelector=round%3D{round}")).await?;
    Ok(sent.into_iter().filter_map(|(name, sent)| Some((sent, *bound.get(&name)?))).collect())
}

/// Waits until something holds.
pub async fn wait_for(limit: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    tokio::time::timeout(limit, async {
        while !holds() {
            tick.tick().await;
        }
    })
    .await
    .with_context(|| format!("it did not happen within {limit:?}"))
}
