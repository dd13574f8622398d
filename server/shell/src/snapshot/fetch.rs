//! `trireme snapshot fetch`

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{file, of_file};
use crate::backups::{ChunkReader, Place, S3Args, location};
use crate::cluster::output::Output;

/// `trireme snapshot fetch`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `s3://bucket/prefix/name`, as `trireme snapshot list` shows it.
    #[arg(value_name = "BACKUP")]
    from: String,
    /// The file to write. One that exists is kept, and refused.
    file: PathBuf,
    #[command(flatten)]
    s3: S3Args,
}

/// The file gets its name once it is whole.
pub(super) async fn run(args: &Args, output: Output) -> Result<()> {
    if args.file.exists() {
        bail!("{} exists: choose another name, or remove it first", args.file.display());
    }
    let (location, name) = location::object(&args.from).map_err(anyhow::Error::msg)?;
    let chunks = Place::open(&location, &args.s3)?.get(&name).await?;
    let file = args.file.clone();
    let summary = super::blocking(move || {
        let partial = PathBuf::from(format!("{}.partial", file.display()));
        let written = write(&partial, ChunkReader::new(chunks)).and_then(|()| file::read(&partial));
        let written = written.and_then(|sound| {
            fs::rename(&partial, &file).with_context(|| format!("writing {}", file.display()))?;
            Ok(sound.summary)
        });
        if written.is_err() {
            // Half a backup is no use to anybody.
            let _ = fs::remove_file(&partial);
        }
        written
    });
    let summary = summary.await?;
    if output.value(&of_file(&args.file, &summary)?) {
        return Ok(());
    }
    say!(
        "fetched {}: {} bytes, {} keys as of revision {}",
        args.file.display(),
        summary.bytes,
        summary.keys,
        summary.revision
    );
    Ok(())
}

fn write(path: &Path, mut from: ChunkReader) -> Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("writing {}", path.display()))?;
    io::copy(&mut from, &mut file).with_context(|| format!("writing {}", path.display()))?;
    Ok(file.sync_all()?)
}
