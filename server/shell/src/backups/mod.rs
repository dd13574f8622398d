//! Backups by the clock, to a folder or an S3-compatible store, each read again once it is written.
//!
//! The leader makes them: there is one at a time, it knows the latest state, and whoever leads next goes on from what lies at
//! the target. So a schedule survives failovers and restarts without anything being remembered in the cluster.
//!
//! Invariants:
//! - a backup counts only when it was read back from the target to its end and found whole;
//! - nothing is pruned unless a newer one counts, and the newest is never pruned;
//! - backups of another cluster at the same target are left alone;
//! - a target that fails harms nobody: it is tried again, and metrics, `trireme top` and the log say so.

mod check;
mod folder;
pub mod location;
mod name;
mod office;
mod place;
mod retention;
mod s3;
mod state;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

pub use check::ChunkReader;
pub use location::Location;
pub use office::Office;
pub use place::{Kept, Place};
pub use retention::Retention;
pub use state::{Report, Shown, State};

/// How to reach an S3-compatible store.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct S3Args {
    /// Address of an S3-compatible store, http(s)://host:port. [default: Amazon's]
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    s3_endpoint: Option<String>,
    /// Its region. The keys are taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
    #[arg(long, value_name = "NAME", env = "AWS_REGION", default_value = "us-east-1")]
    s3_region: String,
    /// Authorities that it is verified with, PEM. [default: the system's]
    #[arg(long, value_name = "FILE", env = "AWS_CA_BUNDLE")]
    s3_ca: Option<PathBuf>,
}

/// When to make backups, where to keep them, for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where the leader keeps backups: a folder (which all masters share, or each has for itself), or `s3://bucket/prefix`.
    #[arg(long, value_name = "PLACE", env = "TRIREME_BACKUP_TO")]
    backup_to: Option<Location>,
    /// From one backup to the next: 30s, 15m, 6h, 1d.
    #[arg(long, value_name = "TIME", env = "TRIREME_BACKUP_EVERY", default_value = "6h", value_parser = crate::span::parse)]
    backup_every: Duration,
    /// So many are kept.
    #[arg(long, value_name = "N", env = "TRIREME_BACKUP_KEEP", default_value_t = 28,
          value_parser = clap::value_parser!(u32).range(1..))]
    backup_keep: u32,
    /// None is kept for longer than this, but for the newest.
    #[arg(long, value_name = "TIME", env = "TRIREME_BACKUP_KEEP_FOR", value_parser = crate::span::parse)]
    backup_keep_for: Option<Duration>,
    /// Put the keys of Secrets into the backups, wrapped by the passphrase in the first line of this file. Without it, keep
    /// secrets.key elsewhere: a restore needs it.
    #[arg(long, value_name = "FILE", env = "TRIREME_BACKUP_PASSPHRASE_FILE")]
    backup_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    s3: S3Args,
}

/// What is to be done.
pub struct Plan {
    /// Where.
    pub place: Place,
    /// How often.
    pub every: Duration,
    /// What is kept.
    pub retention: Retention,
    /// Wraps the keys of Secrets; empty: they stay out.
    pub passphrase: Vec<u8>,
}

impl Args {
    /// What is to be done, when anything is, and where, for people.
    ///
    /// # Errors
    /// When it cannot work: no keys for the store, a passphrase that cannot be read.
    pub fn plan(&self) -> Result<Option<(Plan, String)>> {
        let Some(location) = &self.backup_to else { return Ok(None) };
        let passphrase = self.backup_passphrase_file.as_ref().map(crate::snapshot::passphrase).transpose()?;
        let plan = Plan {
            place: Place::open(location, &self.s3).context("--backup-to")?,
            every: self.backup_every,
            retention: Retention { count: self.backup_keep as usize, age: self.backup_keep_for },
            passphrase: passphrase.unwrap_or_default(),
        };
        Ok(Some((plan, location.to_string())))
    }
}
