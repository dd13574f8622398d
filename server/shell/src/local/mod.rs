//! A whole cluster as processes on this machine: what `./x up` and its friends do.
//!
//! Everything lies in one folder (`.trireme/`): the kubeconfig, certificates, and a folder for each process with its
//! `pid`, `log` and data.

mod layout;
mod members;
mod process;
mod status;
mod up;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use layout::{Layout, StoreOnly};
use process::Process;

use crate::pki::Renewal;

/// How long a process may take to stop after SIGTERM before it is killed. Longer than a handover of leadership takes.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Where a cluster lies when nobody says another folder.
const DEFAULT_DIR: &str = ".trireme";

/// `trireme local …`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the cluster.
    #[arg(long, global = true, default_value = DEFAULT_DIR, env = "TRIREME_DIR")]
    pub dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with a local cluster.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Start the cluster, or what of it is not running, and wait until it serves.
    Up {
        /// Masters: 1, 3 or 5; more than there are makes a cluster grow. [default: 3]
        #[arg(long)]
        masters: Option<usize>,
        /// Simulated nodes. [default: 5]
        #[arg(long)]
        nodes: Option<usize>,
        /// The front door's port; the others follow from it. [default: 6440]
        #[arg(long)]
        base_port: Option<u16>,
        /// The store alone, without Kubernetes: etcd's API in plain text, or with client certificates when told https.
        #[arg(long, value_name = "SCHEME", num_args = 0..=1, default_missing_value = "http", value_enum)]
        store_only: Option<StoreOnly>,
    },
    /// Stop all processes; the data stay.
    Down,
    /// Stop all processes and forget the data.
    Reset,
    /// Start one process: m1, m2 …, front or nodes.
    Start {
        /// Its name.
        name: String,
    },
    /// Stop one process with SIGTERM.
    Stop {
        /// Its name.
        name: String,
    },
    /// Issue all certificates anew, under the cluster's feet: what runs takes them up within seconds.
    Renew,
    /// Add a master: a process more, that joins the cluster.
    Add {
        /// As a read replica, which serves everything and never votes.
        #[arg(long)]
        replica: bool,
    },
    /// Remove a master from the cluster for good, dead or alive.
    Remove {
        /// Its name.
        name: String,
    },
    /// Replace a dead master: forget its folder, and let it join anew under its name.
    Replace {
        /// Its name.
        name: String,
    },
    /// Make a new cluster of one survivor, when the others are lost for good.
    Recover {
        /// The survivor's name.
        name: String,
    },
    /// Show processes, roles, and revisions.
    Status,
    /// Print the log of one process.
    Logs {
        /// Its name.
        name: String,
        /// Go on as it grows.
        #[arg(long, short)]
        follow: bool,
    },
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Up { masters, nodes, base_port, store_only } => {
            let mut layout = Layout::open_or_create(&args.dir, masters, nodes, base_port, store_only)?;
            up::run(&layout).await?;
            while masters.is_some_and(|wanted| wanted > layout.shape.masters_now().len()) {
                members::add(&mut layout, false).await?;
            }
            up::print_next_steps(&layout);
            Ok(())
        }
        Command::Add { replica } => members::add(&mut Layout::open(&args.dir)?, replica).await,
        Command::Remove { name } => members::remove(&mut Layout::open(&args.dir)?, &name).await,
        Command::Replace { name } => members::replace(&mut Layout::open(&args.dir)?, &name).await,
        Command::Recover { name } => members::recover(&mut Layout::open(&args.dir)?, &name).await,
        Command::Down => down(&args.dir).await,
        Command::Reset => {
            if args.dir.exists() {
                down(&args.dir).await?;
                std::fs::remove_dir_all(&args.dir).with_context(|| format!("removing {}", args.dir.display()))?;
            }
            say!("forgotten: {}", args.dir.display());
            Ok(())
        }
        Command::Start { name } => {
            let layout = Layout::open(&args.dir)?;
            let process = layout.process(&name)?;
            process.start().await?;
            up::wait_until_serving(&layout, &process).await?;
            say!("{name} serves");
            Ok(())
        }
        Command::Stop { name } => {
            let process = Layout::open(&args.dir)?.process(&name)?;
            if process.stop(STOP_LIMIT).await? {
                say!("{name} stopped")
            } else {
                say!("{name} was not running")
            }
            Ok(())
        }
        Command::Renew => {
            up::issue_certificates(&Layout::open(&args.dir)?, &Renewal { force: true, ..Renewal::default() })?;
            say!("issued anew; processes take them up within seconds");
            Ok(())
        }
        Command::Status => status::print(&Layout::open(&args.dir)?).await,
        Command::Logs { name, follow } => logs(&Layout::open(&args.dir)?.process(&name)?, follow).await,
    }
}

async fn down(dir: &std::path::Path) -> Result<()> {
    let Ok(layout) = Layout::open(dir) else {
        say!("no cluster in {}", dir.display());
        return Ok(());
    };
    // Nodes first, so that they do not report masters going away; the masters together, since each hands over to another.
    let processes = layout.processes();
    let (masters, others): (Vec<_>, Vec<_>) = processes.iter().partition(|p| layout.is_master(&p.name));
    for group in [others, masters] {
        let stops = group.iter().map(|p| p.stop(STOP_LIMIT));
        for stopped in futures::future::join_all(stops).await {
            stopped?;
        }
    }
    say!("stopped; the data stay in {} (./x up resumes, ./x reset forgets)", dir.display());
    Ok(())
}

async fn logs(process: &Process, follow: bool) -> Result<()> {
    let path = process.log_path();
    if !path.exists() {
        bail!("{} has no log yet: {}", process.name, path.display());
    }
    let mut tail = tokio::process::Command::new("tail");
    tail.arg("-n").arg(if follow { "50" } else { "+1" });
    if follow {
        tail.arg("-F");
    }
    let status = tail.arg(path).status().await.context("running tail")?;
    if status.success() { Ok(()) } else { bail!("tail failed: {status}") }
}
