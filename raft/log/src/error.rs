//! What goes wrong on disk.

use std::io;
use std::path::PathBuf;

/// An error of the disk or of what lies on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// RocksDB says no.
    #[error("the database: {0}")]
    Database(#[from] rocksdb::Error),
    /// A file says no.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error("the data folder {path} is in use by process {pid}")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who holds it; 0 when that cannot be told.
        pid: u32,
    },
    /// A format of another time.
    #[error("{what} has format version {found}; this build reads version {supported}")]
    UnknownVersion {
        /// What was read.
        what: &'static str,
        /// Its version.
        found: u8,
        /// Ours.
        supported: u8,
    },
    /// What was read is not what was written.
    #[error("{what} is damaged: {detail}")]
    Damaged {
        /// What was read.
        what: &'static str,
        /// Where and how.
        detail: String,
    },
    /// The log's database has met damage and takes no more writes. Whether anything that lives is damaged the next start
    /// finds out.
    #[error("the log's database takes no more writes ({why}); the next start makes it anew from what lives in it")]
    Refused {
        /// What it says.
        why: String,
    },
    /// The log ends before a record that was acknowledged.
    #[error(
        "the log ends at index {end}, but index {acknowledged} was acknowledged: this member has lost its memory and must rejoin as a new one"
    )]
    TailLost {
        /// The last record found.
        end: u64,
        /// The last one known to have been synced.
        acknowledged: u64,
    },
}

impl Error {
    /// Whether what lies on the disk is not what was written there, so that neither waiting nor another try can help.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::TailLost { .. } => true,
            // A file that the database knows of and that is gone is no error of the disk at this moment; nor is a manifest that
            // was cut before it names all families.
            Self::Database(error) => {
                let gone = ["No such file or directory", "Column family not found"];
                error.kind() == rocksdb::ErrorKind::Corruption || gone.iter().any(|what| error.as_ref().contains(what))
            }
            Self::File { .. } | Self::InUse { .. } | Self::UnknownVersion { .. } | Self::Refused { .. } => false,
        }
    }

    /// The same of an error that has passed through the standard library's.
    pub fn is_damage_in(error: &io::Error) -> bool {
        error.get_ref().and_then(|cause| cause.downcast_ref::<Self>()).is_some_and(Self::is_damage)
    }

    /// The same for another who waits.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Database(error) => Self::Database(error.clone()),
            Self::File { path, source } => {
                Self::File { path: path.clone(), source: io::Error::new(source.kind(), source.to_string()) }
            }
            Self::InUse { path, pid } => Self::InUse { path: path.clone(), pid: *pid },
            Self::UnknownVersion { what, found, supported } => {
                Self::UnknownVersion { what, found: *found, supported: *supported }
            }
            Self::Damaged { what, detail } => Self::Damaged { what, detail: detail.clone() },
            Self::Refused { why } => Self::Refused { why: why.clone() },
            Self::TailLost { end, acknowledged } => Self::TailLost { end: *end, acknowledged: *acknowledged },
        }
    }

    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}
