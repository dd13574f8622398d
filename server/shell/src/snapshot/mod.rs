//! `trireme snapshot`: backups of a cluster, and clusters from backups.

mod fetch;
mod file;
mod inspect;
mod list;
mod restore;
mod save;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api_client::{Client, Options, Tls};

use crate::local::Layout;
use crate::pki::Pair;

/// `trireme snapshot …`
#[derive(Debug, clap::Args)]
pub struct Args {
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
    match args.command {
        Command::Save(args) => save::run(args).await,
        Command::Inspect(args) => inspect::run(&args).await,
        Command::List(args) => list::run(&args).await,
        Command::Fetch(args) => fetch::run(&args).await,
        Command::Restore(args) => {
            let sound = file::open(&args.file, &args.s3).await?;
            blocking(move || restore::run(&args, sound)).await
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
            let layout = Layout::open(&self.dir)?;
            (0..layout.shape.masters).map(|index| layout.api(index).to_string()).collect()
        } else {
            self.masters.clone()
        };
        let ca = self.ca.clone().unwrap_or_else(|| self.dir.join("ca.crt"));
        let ca_pem = std::fs::read_to_string(&ca).with_context(|| format!("reading {}", ca.display()))?;
        let pair = Pair::read(&self.identity.clone().unwrap_or_else(|| self.dir.join("admin")))?;
        let tls = Tls { ca_pem, cert_pem: pair.cert_pem, key_pem: pair.key_pem };
        let deadline = Duration::from_secs(30);
        Client::new(&Options { masters, tls: Some(tls), deadline }).context("setting up the client")
    }
}

/// Reads a passphrase: the first line of a file.
pub fn passphrase(path: &PathBuf) -> Result<Vec<u8>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.as_bytes().to_vec()),
        _ => bail!("{} holds no passphrase", path.display()),
    }
}
