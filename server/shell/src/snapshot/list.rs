//! `trireme snapshot list`

use anyhow::Result;
use serde_json::{Value, json};

use crate::backups::{Kept, Location, Place, S3Args};
use crate::cluster::output::Output;

/// `trireme snapshot list`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder, or `s3://bucket/prefix`: what `trireme server` was given as --backup-to.
    #[arg(value_name = "PLACE", env = "TRIREME_BACKUP_TO")]
    place: Location,
    #[command(flatten)]
    s3: S3Args,
}

/// Oldest first.
pub(super) async fn run(args: &Args, output: Output) -> Result<()> {
    let all = Place::open(&args.place, &args.s3)?.list(None).await?;
    let value = |kept: &Kept| json!({"name": kept.name, "takenS": kept.taken_s, "revision": kept.revision, "bytes": kept.bytes});
    if output.value(&Value::Array(all.iter().map(value).collect())) {
        return Ok(());
    }
    if all.is_empty() {
        say!("no backups lie in {}", args.place);
        return Ok(());
    }
    let width = all.iter().map(|kept| kept.name.len()).max().unwrap_or_default();
    say!("{:<width$}  {:<20} {:>12} {:>12}", "NAME", "TAKEN", "REVISION", "BYTES");
    for kept in all {
        let us = i64::try_from(kept.taken_s).unwrap_or_default().saturating_mul(1_000_000);
        let taken = api_kinds::time::rfc3339(us);
        say!("{:<width$}  {taken:<20} {:>12} {:>12}", kept.name, kept.revision, kept.bytes);
    }
    Ok(())
}
