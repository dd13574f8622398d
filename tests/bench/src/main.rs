//! The benchmarks: Trireme and its peers side by side in one run, never as timed unit tests.
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

mod api;
mod crash;
mod failover;
mod ledger;
mod peers;
mod rolling;
mod scale;
mod store;
mod usage;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bench", about = "Trireme's benchmarks")]
struct Cli {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// SIGKILL leaders under load: time to the next acknowledged write, failed, lost and doubled writes.
    Failover(failover::Args),
    /// SIGKILL all masters at once under load: nothing acknowledged is lost, every restart serves soon.
    Crash(crash::Args),
    /// A Deployment rolls while leaders are killed: the bounds hold at every revision.
    Rolling(rolling::Args),
    /// Creates, gets, lists, memory and time to bound, against kube-apiserver with etcd.
    Api(api::Args),
    /// A million keys with everything that happens to them, 100,000 watches, 100,000 leases: the store's size.
    Scale(scale::Args),
    /// The store through etcd's API: puts, gets, watches, leases, a mixed load; beside etcd with the same client.
    Store(store::Args),
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match Cli::parse().benchmark {
            Benchmark::Failover(args) => failover::run(args).await,
            Benchmark::Crash(args) => crash::run(args).await,
            Benchmark::Rolling(args) => rolling::run(args).await,
            Benchmark::Api(args) => api::run(args).await,
            Benchmark::Scale(args) => scale::run(args).await,
            Benchmark::Store(args) => store::run(args).await,
        }
    })
}
