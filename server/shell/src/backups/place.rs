//! A place where backups are kept: what is asked of each.

use std::io;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::folder::Folder;
use super::name::Name;
use super::s3::Bucket;
use super::{Location, S3Args};

/// The bytes of a backup on their way out.
pub(super) type Outgoing = mpsc::Receiver<Bytes>;
/// The bytes of a backup on their way in.
pub(super) type Incoming = mpsc::Receiver<io::Result<Bytes>>;
/// Chunks on their way between a disk or network and who makes or reads them.
pub(super) const CHUNKS_AHEAD: usize = 4;

/// See the module.
pub enum Place {
    /// On a disk.
    Folder(Folder),
    /// In an S3-compatible store.
    S3(Box<Bucket>),
}

/// A backup that lies somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name there.
    pub name: String,
    /// When it was taken, seconds since 1970.
    pub taken_s: u64,
    /// As of which the store is in it.
    pub revision: u64,
    /// Its size.
    pub bytes: u64,
}

/// What lies at a place under a name.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) bytes: u64,
}

impl Place {
    /// A place; it is not looked at yet.
    ///
    /// # Errors
    /// When the settings for it cannot work.
    pub fn open(location: &Location, s3: &S3Args) -> Result<Self> {
        Ok(match location {
            Location::Folder(path) => Self::Folder(Folder::new(path.clone())),
            Location::S3 { bucket, prefix } => Self::S3(Box::new(Bucket::new(bucket, prefix, s3)?)),
        })
    }

    /// Backups that a clock made, oldest first; of one cluster, or of all.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub async fn list(&self, cluster: Option<&str>) -> Result<Vec<Kept>> {
        let found = match self {
            Self::Folder(folder) => folder.list().await?,
            Self::S3(bucket) => bucket.list().await?,
        };
        let mut all: Vec<Kept> = found
            .into_iter()
            .filter_map(|Found { name, bytes }| {
                let Name { taken_s, revision, .. } =
                    Name::parse(&name).filter(|said| cluster.is_none_or(|cluster| said.is_of(cluster)))?;
                Some(Kept { name, taken_s, revision, bytes })
            })
            .collect();
        all.sort_by(|a, b| (a.taken_s, a.revision, &a.name).cmp(&(b.taken_s, b.revision, &b.name)));
        Ok(all)
    }

    /// Writes a backup, which appears whole or not at all.
    pub(super) async fn put(&self, name: &str, chunks: Outgoing) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.put(name, chunks).await,
            Self::S3(bucket) => bucket.put(name, chunks).await,
        }
        .with_context(|| format!("writing {name}"))
    }

    /// Its bytes, as they lie there.
    ///
    /// # Errors
    /// When there is no such thing, or it cannot be read.
    pub async fn get(&self, name: &str) -> Result<Incoming> {
        match self {
            Self::Folder(folder) => folder.get(name).await,
            Self::S3(bucket) => bucket.get(name).await,
        }
        .with_context(|| format!("reading {name}"))
    }

    /// Removes one; one that is gone already is no error.
    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.remove(name).await,
            Self::S3(bucket) => bucket.remove(name).await,
        }
        .with_context(|| format!("removing {name}"))
    }
}
