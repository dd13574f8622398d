//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A Kubernetes control plane in one binary.
#[derive(Debug, Parser)]
#[command(name = "trireme", version, about)]
struct Cli {
    /// What to log: error, warn, info, debug, or directives like `raft_node=debug`.
    #[arg(long, global = true, env = "TRIREME_LOG", default_value = "info,openraft=error")]
    log: String,
    /// Log as JSON, one object a line.
    #[arg(long, global = true, env = "TRIREME_LOG_JSON")]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one master.
    Server(Box<crate::server::Args>),
    /// Run worker nodes.
    Agent(crate::agent::Args),
    /// Run one master and simulated nodes in one process, with nothing to configure.
    Dev(crate::dev::Args),
    /// Run a front door: one address for the API of all masters.
    FrontDoor(crate::frontdoor::Args),
    /// Watch the cluster: members, log, latencies, nodes, pods, controllers.
    Top(crate::top::Args),
    /// Ask a master, or the front door, whether it can serve: exit code 0 when it can.
    Health(crate::health::Args),
    /// Save a backup of a cluster, look into one, restore a cluster from one.
    Snapshot(crate::snapshot::Args),
    /// Print completions for a shell: `source <(trireme completion bash)`.
    Completion {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
    /// Write man pages, one a command, into a folder.
    Man {
        /// Made when it is missing.
        folder: PathBuf,
    },
    /// Show the configuration in force.
    Config(crate::config::ConfigArgs),
    /// Issue certificates for a cluster whose masters do not share a folder.
    Certs(crate::certs::Args),
    /// Show the masters, and let them come and go.
    Cluster(crate::cluster::Args),
    /// Run a whole cluster as processes on this machine (what ./x up does).
    Local(crate::local::Args),
}

/// Reads the command line and runs it.
pub fn run() -> Result<()> {
    let line = crate::config::merge(&Cli::command(), std::env::args_os().collect())?;
    let cli = Cli::parse_from(line);
    start_logging(&cli.log, cli.log_json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Server(args) => crate::server::run(*args).await,
            Command::Agent(args) => crate::agent::run(args).await,
            Command::Dev(args) => crate::dev::run(args).await,
            Command::FrontDoor(args) => crate::frontdoor::run_command(args).await,
            Command::Top(args) => crate::top::run(args).await,
            Command::Health(args) => crate::health::run(args).await,
            Command::Snapshot(args) => crate::snapshot::run(args).await,
            Command::Completion { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "trireme", &mut std::io::stdout());
                Ok(())
            }
            Command::Man { folder } => write_man_pages(&folder),
            Command::Config(args) => crate::config::run(args, Cli::command()),
            Command::Certs(args) => crate::certs::run(args).await,
            Command::Cluster(args) => crate::cluster::run(args).await,
            Command::Local(args) => crate::local::run(args).await,
        }
    });
    // Nothing that is left in flight may keep the process from ending.
    runtime.shutdown_background();
    result
}

fn write_man_pages(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(|| format!("writing into {}", folder.display()))
}

fn start_logging(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    if json { builder.json().init() } else { builder.init() }
}
