//! Backup files of either format, read whole and checked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use raft_backup::{Contents, Error, Reader, WrappedKeys, etcd};
use raft_state::Payload;
use serde::Serialize;

use crate::backups::{ChunkReader, Place, S3Args, location};

/// A backup that is sound.
pub(super) struct Sound {
    /// What it says, and what was counted.
    pub(super) summary: Summary,
    /// What it holds.
    pub(super) contents: Contents,
    /// The keys of Secrets, when they came with it.
    pub(super) keys: Option<WrappedKeys>,
}

/// What is to be known of a backup.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// `trireme` or `etcd`.
    pub(super) format: &'static str,
    /// Id of the cluster that it is from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) cluster: String,
    /// Name of the master that took it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) member: String,
    /// When, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) taken_s: Option<u64>,
    /// Of the file.
    pub(super) bytes: u64,
    /// As of which the store is in it.
    pub(super) revision: u64,
    /// Entries.
    pub(super) keys: u64,
    /// Leases.
    pub(super) leases: u64,
    /// Encrypted entries.
    pub(super) sealed: u64,
    /// Ids of the keys that open them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) key_ids: Vec<u32>,
    /// Whether those keys are in the backup, wrapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keys_wrapped: Option<bool>,
    /// Entries and bytes by resource, or the first part of the key.
    pub(super) by_resource: BTreeMap<String, Count>,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    /// Entries.
    pub(super) keys: u64,
    /// Of keys and values.
    pub(super) bytes: u64,
}

/// Reads a backup to its end, wherever it lies, and checks all of it.
pub(super) async fn open(name: &str, s3: &S3Args) -> Result<Sound> {
    if !location::is_remote(name) {
        let path = PathBuf::from(name);
        return super::blocking(move || read(&path)).await;
    }
    let (location, object) = location::object(name).map_err(anyhow::Error::msg)?;
    let chunks = Place::open(&location, s3)?.get(&object).await?;
    // Masters write none of etcd's format there.
    super::blocking(move || trireme(BufReader::with_capacity(1 << 20, ChunkReader::new(chunks))))
        .await
        .with_context(|| name.to_owned())
}

/// Reads a file to its end and checks all of it.
pub(super) fn read(path: &Path) -> Result<Sound> {
    let name = || format!("{}", path.display());
    let mut file = File::open(path).with_context(|| {
        format!("opening {} (`trireme snapshot list` shows what masters keep at a place)", path.display())
    })?;
    let bytes = file.metadata().with_context(name)?.len();
    let mut first = Vec::new();
    (&mut file).take(4096).read_to_end(&mut first).with_context(name)?;
    file.seek(SeekFrom::Start(0)).with_context(name)?;
    if etcd::is_snapshot(&first) {
        let contents = etcd::import(&file, bytes).with_context(name)?;
        return Ok(Sound { summary: Summary { format: "etcd", ..count(&contents, bytes) }, contents, keys: None });
    }
    if !raft_backup::is_backup(&first) {
        return Err(Error::NotABackup).with_context(name);
    }
    trireme(BufReader::with_capacity(1 << 20, file)).with_context(name)
}

fn trireme(file: impl Read) -> Result<Sound> {
    let mut counted = Counted { file, bytes: 0 };
    let reader = Reader::new(&mut counted)?;
    let header = reader.header().clone();
    let contents = reader.contents()?;
    let bytes = counted.bytes;
    let summary = Summary {
        format: "trireme",
        cluster: header.cluster,
        member: header.member,
        taken_s: Some(header.taken_s),
        keys_wrapped: Some(header.keys.is_some()),
        ..count(&contents, bytes)
    };
    Ok(Sound { summary, contents, keys: header.keys })
}

/// Counts what is read.
struct Counted<R> {
    file: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

fn count(contents: &Contents, bytes: u64) -> Summary {
    let mut summary = Summary {
        bytes,
        revision: contents.scalars.revision,
        keys: contents.versions.len() as u64,
        leases: contents.leases.len() as u64,
        ..Summary::default()
    };
    for (_, record) in &contents.versions {
        if let Some(Payload::Sealed { key_id, .. }) = &record.payload {
            summary.sealed += 1;
            if !summary.key_ids.contains(key_id) {
                summary.key_ids.push(*key_id);
            }
        }
        let value = record.payload.as_ref().map_or(0, Payload::len);
        let count = summary.by_resource.entry(resource(&record.key)).or_default();
        count.keys += 1;
        count.bytes += (record.key.len() + value) as u64;
    }
    summary.key_ids.sort_unstable();
    summary
}

/// `pods`, `deployments.apps`; for keys of another shape what comes before their second slash.
fn resource(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    let parts: Vec<&str> = text.trim_start_matches('/').splitn(4, '/').collect();
    match parts[..] {
        ["registry", "core", plural, _] => plural.to_owned(),
        ["registry", group, plural, _] => format!("{plural}.{group}"),
        [first, _, ..] if text.starts_with('/') => format!("/{first}/"),
        [first, _, ..] => format!("{first}/"),
        _ => "(others)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_by_what_they_are() {
        let check = |key: &str, expected: &str| assert_eq!(resource(key.as_bytes()), expected, "{key}");
        check("/registry/core/pods/default/web", "pods");
        check("/registry/apps/deployments/default/web", "deployments.apps");
        check("/app/config/a", "/app/");
        check("app/config", "app/");
        check("loose", "(others)");
    }
}
