//! `./x bench scale`: how large the store may be. Three members without Kubernetes' API, on loopback in plain text with fsync on;
//! clients on the same machine.

mod keys;
mod leases;
mod pace;
mod watches;

use anyhow::Result;
use tests_e2e::Cluster;

use crate::store::subject::Subject;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// A share of the full size, for a try in seconds: 0.01 is ten thousand keys, a thousand watches, a thousand leases.
    #[arg(long, default_value_t = 1.0)]
    size: f64,
    /// Only these parts: keys, watches, leases.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl Args {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// So much of what the full size has, but not less than this.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    fn of(&self, full: u64, least: u64) -> u64 {
        ((full as f64 * self.size).round() as u64).max(least)
    }
}

/// Runs the parts and prints what they came to.
///
/// # Errors
/// When a server does not start, answers with an error, or a watcher misses an event.
pub async fn run(args: Args) -> Result<()> {
    println!("three members on loopback, fsync on, plain text; clients on the same machine; latencies in ms");
    if args.wants("keys") {
        keys::run(&args).await?;
    }
    if args.wants("watches") {
        watches::run(&args).await?;
    }
    if args.wants("leases") {
        leases::run(&args).await?;
    }
    Ok(())
}

/// The names of the members' processes.
const MEMBERS: [&str; 3] = ["m1", "m2", "m3"];

/// The members of a cluster, the leader first.
async fn subject(cluster: &Cluster) -> Result<Subject> {
    let subject = Subject {
        name: "trireme",
        addresses: (0..3).map(|index| cluster.etcd(index)).collect(),
        pids: MEMBERS.iter().map(|name| cluster.pid(name)).collect::<Result<_>>()?,
        credentials: None,
        certificates: None,
    };
    subject.settle().await
}

fn megabytes(bytes: u64) -> u64 {
    bytes >> 20
}
