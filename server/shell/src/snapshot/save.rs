//! `trireme snapshot save`

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use api_client::{Backup, v1};

use super::{Connection, file, of_file, passphrase};
use crate::cluster::output::Output;

/// How often a backup that breaks off is begun again, at another master perhaps.
const ATTEMPTS: usize = 3;

/// `trireme snapshot save`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write. One that exists is kept, and refused.
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
    /// trireme: checked, Secrets encrypted. etcd: as etcdctl writes it, Secrets as the API shows them.
    #[arg(long, value_enum, default_value_t = Format::Trireme)]
    format: Format,
    /// Put the keys of Secrets into the backup, wrapped by the passphrase in the first line of this file. Without it, keep
    /// secrets.key elsewhere: a restore needs it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Trireme,
    Etcd,
}

/// Takes the backup, reads it again, and only then gives it its name.
pub(super) async fn run(args: Args, output: Output) -> Result<()> {
    if args.file.exists() {
        bail!("{} exists: choose another name, or remove it first", args.file.display());
    }
    let passphrase = args.passphrase_file.as_ref().map(passphrase).transpose()?.unwrap_or_default();
    let format = match args.format {
        Format::Trireme => v1::backup_request::Format::Trireme,
        Format::Etcd => v1::backup_request::Format::Etcd,
    };
    let request = v1::BackupRequest { format: format.into(), passphrase: passphrase.into() };
    let client = args.connection.client()?;
    let partial = PathBuf::from(format!("{}.partial", args.file.display()));
    let mut attempt = 1;
    let bytes = loop {
        let received = match client.backup(request.clone()).await {
            Ok(backup) => receive(backup, &partial).await,
            Err(error) => Err(error.into()),
        };
        match received {
            Ok(bytes) => break bytes,
            Err(error) if attempt < ATTEMPTS => {
                tracing::warn!("the backup broke off and begins again: {error:#}");
                attempt += 1;
            }
            Err(error) => {
                // Half a backup is no use to anybody.
                let _ = fs::remove_file(&partial);
                return Err(error.context("taking the backup"));
            }
        }
    };
    let checked = partial.clone();
    let summary = tokio::task::spawn_blocking(move || file::read(&checked)).await?;
    let summary = summary.with_context(|| format!("checking {}", partial.display()))?.summary;
    fs::rename(&partial, &args.file).with_context(|| format!("writing {}", args.file.display()))?;
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    if output.value(&of_file(&args.file, &summary)?) {
        return Ok(());
    }
    say!("saved {}: {bytes} bytes, {} keys as of revision {}", args.file.display(), summary.keys, summary.revision);
    if summary.sealed > 0 && summary.keys_wrapped == Some(false) {
        say!("{} of its values are encrypted: keep a copy of secrets.key where the backup is not", summary.sealed);
    }
    Ok(())
}

async fn receive(mut backup: Backup, path: &Path) -> Result<u64> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("writing {}", path.display()))?;
    let mut bytes = 0;
    while let Some(chunk) = backup.next().await? {
        bytes += chunk.len() as u64;
        file = tokio::task::spawn_blocking(move || file.write_all(&chunk).map(|()| file))
            .await?
            .with_context(|| format!("writing {}", path.display()))?;
    }
    tokio::task::spawn_blocking(move || file.sync_all()).await??;
    Ok(bytes)
}
