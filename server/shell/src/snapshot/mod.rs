//! `trireme snapshot`: backups of a cluster, and clusters from backups.

mod fetch;
mod file;
mod inspect;
mod list;
mod restore;
mod save;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use api_client::Client;
use serde_json::Value;

use crate::cluster::access;
use crate::cluster::output::Output;

/// `trireme snapshot …`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to print: table, json, yaml.
    #[arg(short, long, global = true, default_value = "table")]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take a backup of a running cluster, from any master, without stopping anything.
    Save(save::Args),
    /// Check a backup, and say what is in it.
    Inspect(inspect::Args),
    /// Show the backups that masters keep at a place (`trireme server --backup-to`).
    List(list::Args),
    /// Copy a backup out of a store onto this disk, and check it.
    Fetch(fetch::Args),
    /// Make the data folders of a new cluster from a backup.
    Restore(restore::Args),
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let output = args.output;
    match args.command {
        Command::Save(args) => save::run(args, output).await,
        Command::Inspect(args) => inspect::run(&args, output).await,
        Command::List(args) => list::run(&args, output).await,
        Command::Fetch(args) => fetch::run(&args, output).await,
        Command::Restore(args) => {
            let sound = file::open(&args.file, &args.s3).await?;
            blocking(move || restore::run(&args, sound, output)).await
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the work was cut short")?
}

/// Which cluster, and as whom.
#[derive(Clone, Debug, clap::Args)]
struct Connection {
    /// Folder of a local cluster (./x up), whose addresses and certificates are used unless others are given.
    #[arg(long, default_value = ".trireme", env = "TRIREME_DIR")]
    dir: PathBuf,
    /// API address of a master, `host:port`; several may be given.
    #[arg(long = "master", value_name = "HOST:PORT", env = "TRIREME_MASTERS", value_delimiter = ',')]
    masters: Vec<String>,
    /// The cluster's CA certificate.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// An administrator's certificate and key, without `.crt` and `.key`.
    #[arg(long, value_name = "STEM")]
    identity: Option<PathBuf>,
}

impl Connection {
    fn client(&self) -> Result<Client> {
        let masters = if self.masters.is_empty() {
            if !self.dir.join("cluster.json").exists() {
                bail!("no cluster in {}: name one with --dir, or masters with --master", self.dir.display());
            }
            access::masters_of(&self.dir)?
        } else {
            self.masters.clone()
        };
        let ca = self.ca.clone().unwrap_or_else(|| self.dir.join("ca.crt"));
        let identity = self.identity.clone().unwrap_or_else(|| self.dir.join("admin"));
        let options = access::with_certificates(masters, &ca, &identity)?;
        Client::new(&options).context("setting up the client")
    }
}

/// A backup in a file, for machines: what is in it, and where it lies.
fn of_file(path: &Path, summary: &file::Summary) -> Result<Value> {
    let mut value = serde_json::to_value(summary)?;
    value["file"] = path.display().to_string().into();
    Ok(value)
}

/// Reads a passphrase: the first line of a file.
pub fn passphrase(path: &PathBuf) -> Result<Vec<u8>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.as_bytes().to_vec()),
        _ => bail!("{} holds no passphrase", path.display()),
    }
}
