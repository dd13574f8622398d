//! What is wrong with a backup.

use std::io;

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file itself cannot be read.
    #[error("reading the backup: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is no backup: it begins neither as Trireme's nor as etcd's do")]
    NotABackup,
    /// A format of another time.
    #[error("the backup has format version {found:?}; this build reads version 1")]
    UnknownVersion {
        /// Its version, one character.
        found: char,
    },
    /// It ends too early.
    #[error("the backup is cut short: it ends at byte {at}")]
    CutShort {
        /// Its length.
        at: u64,
    },
    /// What is there is not what was written.
    #[error("the backup is damaged at byte {at}: {what}")]
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// Revisions would grow beyond what clients can hold in a number.
    #[error("revision {revision} and {added} more are beyond 2^53, which is as far as clients count")]
    TooFar {
        /// Of the backup.
        revision: u64,
        /// What is added.
        added: u64,
    },
}

impl Error {
    pub(crate) fn damaged(at: u64, what: impl Into<String>) -> Self {
        Self::Damaged { at, what: what.into() }
    }
}
