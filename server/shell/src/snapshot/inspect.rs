//! `trireme snapshot inspect`

use anyhow::Result;

use super::file::{self, Summary};
use crate::backups::S3Args;
use crate::cluster::output::Output;

/// `trireme snapshot inspect`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup: a file, or `s3://bucket/prefix/name`.
    file: String,
    #[command(flatten)]
    s3: S3Args,
}

/// Reads all of it; a damaged one is an error that says where.
pub(super) async fn run(args: &Args, output: Output) -> Result<()> {
    let summary = file::open(&args.file, &args.s3).await?.summary;
    if !output.value(&serde_json::to_value(&summary)?) {
        print(&summary);
    }
    Ok(())
}

fn print(summary: &Summary) {
    say!("format     {}", summary.format);
    if !summary.cluster.is_empty() {
        say!("cluster    {}", summary.cluster);
        say!("taken      at {} by {}", time(summary.taken_s), summary.member);
    }
    say!("revision   {}", summary.revision);
    say!("keys       {}", summary.keys);
    say!("leases     {}", summary.leases);
    say!("bytes      {}", summary.bytes);
    match (summary.sealed, summary.keys_wrapped) {
        (0, _) => {}
        (sealed, Some(true)) => say!("encrypted  {sealed}; the keys are in it, wrapped by a passphrase"),
        (sealed, _) => say!("encrypted  {sealed}, under keys {:?} of secrets.key, which is not in it", summary.key_ids),
    }
    say!("\n{:<40} {:>9} {:>12}", "RESOURCE", "KEYS", "BYTES");
    for (resource, count) in &summary.by_resource {
        say!("{resource:<40} {:>9} {:>12}", count.keys, count.bytes);
    }
}

fn time(seconds: Option<u64>) -> String {
    api_kinds::time::rfc3339(seconds.and_then(|s| i64::try_from(s).ok()).unwrap_or_default().saturating_mul(1_000_000))
}
