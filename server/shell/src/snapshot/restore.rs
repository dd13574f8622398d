//! `trireme snapshot restore`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use api_kinds::registry::KINDS;
use raft_backup::{Contents, Shift};
use raft_node::seed::{Seed, plant};
use raft_state::port::Member;
use raft_state::{Keyring as _, Payload};
use serde_json::json;

use super::file::Sound;
use super::passphrase;
use crate::backups::S3Args;
use crate::cluster::output::Output;
use crate::keyring::Keyring;
use crate::local::Layout;
use crate::server::FirstMember;

/// `trireme snapshot restore`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup: a file, or `s3://bucket/prefix/name`.
    pub(super) file: String,
    /// Folder of a new local cluster (./x up --dir starts it). It must not exist.
    #[arg(long, conflicts_with = "data_dir")]
    dir: Option<PathBuf>,
    /// Masters of the local cluster: 1, 3 or 5. [default: 3]
    #[arg(long, conflicts_with = "data_dir")]
    masters: Option<usize>,
    /// Simulated nodes of the local cluster. [default: 5]
    #[arg(long, conflicts_with = "data_dir")]
    nodes: Option<usize>,
    /// The local cluster's front door. [default: 6440]
    #[arg(long, conflicts_with = "data_dir")]
    base_port: Option<u16>,
    /// Data folder of one master (`trireme server --data-dir`). It must not exist. Restore the same file on each.
    #[arg(long, requires = "members", env = "TRIREME_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A member of the new cluster, `<id>=<name>,<peer address>,<api address>`; once for each, the same on all.
    #[arg(long = "member", value_delimiter = ';', env = "TRIREME_MEMBERS")]
    members: Vec<FirstMember>,
    /// The keys of Secrets of the cluster that the backup is from. With --passphrase-file: where to put them.
    #[arg(long, value_name = "FILE")]
    secrets_key: Option<PathBuf>,
    /// Opens the keys in the backup: the passphrase is the first line of this file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// By how much to raise all revisions, so that none is below one that a client has seen since the backup.
    #[arg(long, value_name = "N", default_value_t = Shift::default().0)]
    raise_revisions_by: u64,
    #[command(flatten)]
    pub(super) s3: S3Args,
}

/// Makes nothing unless all is in order.
pub(super) fn run(args: &Args, mut sound: Sound, output: Output) -> Result<()> {
    let target = args.dir.as_ref().or(args.data_dir.as_ref()).context("where to? Give --dir or --data-dir")?;
    if target.exists() {
        bail!("{} exists: a restore never overwrites anything; name a folder that is not there yet", target.display());
    }
    sound.contents.shift(Shift(args.raise_revisions_by))?;
    let keyring = keyring(args, &sound)?;
    let keyring = seal(&mut sound.contents, keyring)?;
    let revision = sound.contents.scalars.revision;
    let (keys, leases) = (sound.summary.keys, sound.summary.leases);
    let seed =
        Seed { scalars: sound.contents.scalars, versions: sound.contents.versions, leases: sound.contents.leases };
    match &args.dir {
        Some(dir) => local(args, dir, keyring, &seed)?,
        None => one(args, target, keyring, &seed)?,
    }
    let restored =
        json!({"folder": target.display().to_string(), "keys": keys, "leases": leases, "revision": revision});
    if output.value(&restored) {
        return Ok(());
    }
    say!("restored {keys} keys and {leases} leases at revision {revision}; everything before is compacted");
    match &args.dir {
        Some(dir) => say!("start it: ./x up --dir {}", dir.display()),
        None => {
            say!("restore the same file on the other masters, then start all with a --cluster-id never used before")
        }
    }
    Ok(())
}

/// The keys of the new cluster, which are those of the old one.
fn keyring(args: &Args, sound: &Sound) -> Result<Option<Keyring>> {
    let keyring = match (&args.passphrase_file, &sound.keys, &args.secrets_key) {
        (Some(_), None, _) => bail!("the backup holds no keys that a passphrase opens: give --secrets-key"),
        (Some(path), Some(wrapped), _) => Some(Keyring::unwrap(wrapped, &passphrase(path)?)?),
        (None, _, Some(path)) => Some(Keyring::open(path)?),
        (None, ..) => None,
    };
    if keyring.is_none() && sound.summary.sealed > 0 {
        let from = if sound.keys.is_some() { " or --passphrase-file" } else { "" };
        bail!(
            "{} values are encrypted under keys {:?}: give the old cluster's secrets.key with --secrets-key{from}",
            sound.summary.sealed,
            sound.summary.key_ids
        );
    }
    Ok(keyring)
}

/// Encrypts what the store keeps encrypted and an etcd snapshot holds in the clear.
fn seal(contents: &mut Contents, keyring: Option<Keyring>) -> Result<Option<Keyring>> {
    let prefixes: Vec<String> = KINDS.iter().filter(|kind| kind.sealed).map(|kind| kind.key_prefix()).collect();
    let mut keyring = keyring;
    for (_, record) in &mut contents.versions {
        if !prefixes.iter().any(|prefix| record.key.starts_with(prefix.as_bytes())) {
            continue;
        }
        if let Some(Payload::Object { json, splice_at }) = &record.payload {
            let sealer = match keyring.take() {
                Some(keyring) => keyring,
                None => Keyring::generate()?,
            };
            record.payload = Some(sealer.seal(&record.key, json, *splice_at));
            keyring = Some(sealer);
        }
    }
    Ok(keyring)
}

/// Keeps the keys, or makes new ones, in a file that must not be there yet.
fn keep(keyring: Option<Keyring>, path: &Path) -> Result<Arc<Keyring>> {
    let Some(keyring) = keyring else { return Keyring::open_or_generate(path).map(Arc::new) };
    keyring.write(path)?;
    Ok(Arc::new(keyring))
}

/// Every master of a local cluster.
fn local(args: &Args, dir: &Path, keyring: Option<Keyring>, seed: &Seed) -> Result<()> {
    let made = || {
        let layout = Layout::open_or_create(dir, args.masters, args.nodes, args.base_port, None)?;
        let keyring = keep(keyring, &layout.secrets_key())?;
        for name in layout.shape.master_names() {
            plant_one(&layout.data(&name), &layout.members(), keyring.clone(), seed)?;
        }
        Ok(())
    };
    made().inspect_err(|_| {
        // It was not there before, and half of it is no use.
        let _ = std::fs::remove_dir_all(dir);
    })
}

/// One master.
fn one(args: &Args, folder: &Path, keyring: Option<Keyring>, seed: &Seed) -> Result<()> {
    let members: Vec<Member> = args.members.iter().map(|member| member.0.clone()).collect();
    let keyring = match (keyring, &args.secrets_key, &args.passphrase_file) {
        (Some(keyring), Some(path), Some(_)) if path.exists() => {
            bail!("{} exists: it is not overwritten with the {} keys of the backup", path.display(), keyring.count())
        }
        (keyring, Some(path), _) if !path.exists() => keep(keyring, path)?,
        (Some(_), None, _) => bail!("where are the keys of Secrets to be put? Give --secrets-key"),
        (Some(keyring), ..) => Arc::new(keyring),
        // Nothing is sealed: any key will do, and none is needed.
        (None, ..) => Arc::new(Keyring::generate()?),
    };
    plant_one(folder, &members, keyring, seed)
}

fn plant_one(folder: &Path, members: &[Member], keyring: Arc<Keyring>, seed: &Seed) -> Result<()> {
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    Ok(plant(folder, members, keyring, seed)?)
}
