//! What can be proposed to the log, and what comes of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::roster::JoinToken;
use crate::txn::{Answers, Txn};
use crate::{Epoch, Revision};

/// Identity of one command across its retries: minted by the master that took the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommandId {
    /// Drawn at random when that master's process started.
    pub boot: u64,
    /// Counts up from 1 within the boot.
    pub sequence: u64,
}

/// One command. A log entry carries many, each with its own outcome and revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Create, update or delete one object.
    Object(ObjectCommand),
    /// A new manager takes office; every command stamped with an older epoch is void from here on.
    OpenEpoch {
        /// Boot id of the process that hosts the manager.
        holder: u64,
    },
    /// A transaction of the etcd face.
    EtcdTxn(Txn),
    /// Create a lease.
    LeaseGrant {
        /// Chosen by the client or minted by the member; above 0.
        id: i64,
        /// Seconds.
        ttl_s: i64,
    },
    /// End a lease, and delete the keys that hang on it.
    LeaseRevoke {
        /// Of the lease.
        id: i64,
    },
    /// A leader watches over the leases from here on, and grants each its full time anew; expiries counted by earlier
    /// ones are void.
    OpenLeaseOffice {
        /// Boot id of the leader.
        holder: u64,
    },
    /// A lease has run out, by the clock of the leader in office.
    LeaseExpire {
        /// Of the lease.
        id: i64,
        /// Which of its grants.
        grant: u64,
        /// Of the leader that counted.
        office: u64,
    },
    /// Give out a member id that nobody has had.
    MintMember,
    /// Make a token to join with, or (`None`) void it.
    JoinToken {
        /// Its public part.
        id: String,
        /// What is known of it.
        token: Option<JoinToken>,
    },
    /// A new cluster begins with what one survivor of the old one held: the revision leaps, so that it lies above every one
    /// that the old cluster handed out, and everything before is compacted.
    Rebase {
        /// How far it leaps.
        by: Revision,
    },
    /// Forget versions superseded at or before `revision`.
    Compact {
        /// The highest revision at which reads and watches are refused afterwards.
        revision: Revision,
    },
}

/// A conditional write of one key. Touches no other key, so that a watch cut after any event resumes without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCommand {
    /// `/registry/<group>/<resource>/[<namespace>/]<name>`; the core group is written `core`.
    pub key: Bytes,
    /// Set by the manager, absent for users' writes. An epoch below the current one voids the command.
    pub epoch: Option<Epoch>,
    /// What must hold of the key at apply.
    pub expect: Expect,
    /// What to do when it holds.
    pub action: Action,
}

/// Precondition of an [`ObjectCommand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// The key has no live entry.
    Absent,
    /// The key's live entry has this mod revision.
    At(Revision),
    /// Nothing; a delete still needs a live entry.
    Any,
}

/// Effect of an [`ObjectCommand`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Write this value.
    Put(Payload),
    /// Remove the entry. For objects the event carries the last value with the deletion's revision.
    Delete,
}

/// A value on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// JSON of an object in its storage version, without `metadata.resourceVersion`.
    Object {
        /// The JSON bytes.
        json: Bytes,
        /// Byte offset just after the `{` of `metadata`, where `"resourceVersion":"N",` is spliced in at apply.
        /// `metadata` is never empty: it has a name.
        splice_at: u32,
    },
    /// The same, encrypted (Secrets). Only the log, the state's files and snapshots see this form.
    Sealed {
        /// Names the key that sealed it.
        key_id: u32,
        /// Minted before the proposal.
        nonce: [u8; 12],
        /// Ciphertext with its tag; the associated data is the entry's key.
        ciphertext: Bytes,
        /// Offset in the *plaintext* at which the revision is spliced in.
        splice_at: u32,
    },
    /// Opaque bytes (the etcd face). Never spliced.
    Opaque(Bytes),
}

impl Payload {
    /// Bytes of the value, as it is stored.
    pub fn len(&self) -> usize {
        match self {
            Self::Object { json, .. } => json.len(),
            Self::Sealed { ciphertext, .. } => ciphertext.len(),
            Self::Opaque(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// Written or deleted at this revision.
    Done {
        /// The revision that the command took.
        revision: Revision,
    },
    /// The epoch is open. `revision` is the store's revision at that point.
    EpochOpened {
        /// The new epoch.
        epoch: Epoch,
        /// The store's revision when it opened.
        revision: Revision,
    },
    /// The transaction is done.
    Txn {
        /// The store's revision after it: its own when it changed anything.
        revision: Revision,
        /// Whether all its compares held.
        succeeded: bool,
        /// What its operations have to say, when at hand.
        #[serde(skip)]
        answers: Answers,
    },
    /// The lease is granted.
    LeaseGranted {
        /// Counts all grants.
        grant: u64,
        /// The store's revision.
        revision: Revision,
    },
    /// The lease is gone, and the keys that hung on it.
    LeaseEnded {
        /// The store's revision after it: that of the deletions when there were any.
        revision: Revision,
        /// Keys deleted.
        deleted: u64,
    },
    /// The leader's office over the leases is open.
    LeaseOfficeOpened {
        /// Its number.
        office: u64,
    },
    /// A member id that is nobody else's.
    MemberMinted {
        /// The id.
        id: u64,
    },
    /// The token is made, or void.
    JoinTokenSet,
    /// The revision has leapt.
    Rebased {
        /// Where it is now; everything before is compacted.
        revision: Revision,
    },
    /// Compacted up to this revision.
    Compacted {
        /// The compaction floor after the command.
        revision: Revision,
    },
    /// Nothing changed.
    Refused(Refusal),
}

impl Outcome {
    /// As the retry window keeps it.
    #[must_use]
    pub fn without_answers(&self) -> Self {
        match self {
            Self::Txn { revision, succeeded, .. } => {
                Self::Txn { revision: *revision, succeeded: *succeeded, answers: Answers::default() }
            }
            other => other.clone(),
        }
    }
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// [`Expect::Absent`], but there is a live entry.
    #[error("the key exists at revision {mod_revision}")]
    Exists {
        /// Of the live entry.
        mod_revision: Revision,
    },
    /// No live entry where one was needed.
    #[error("the key does not exist")]
    NotFound,
    /// [`Expect::At`] another revision.
    #[error("the key is at revision {mod_revision}")]
    Conflict {
        /// Of the live entry.
        mod_revision: Revision,
    },
    /// A newer manager is in office.
    #[error("epoch {current} is open")]
    StaleEpoch {
        /// The epoch in force.
        current: Epoch,
    },
    /// The retry window no longer holds this id: whether it was applied cannot be told, and it was not applied now.
    #[error("the outcome of this command is unknown")]
    OutcomeUnknown,
    /// Compaction at a revision already compacted, or one not reached yet.
    #[error("revision {requested} cannot be compacted: floor {floor}, current {current}")]
    BadCompaction {
        /// As asked for.
        requested: Revision,
        /// The floor in force.
        floor: Revision,
        /// The store's revision.
        current: Revision,
    },
    /// No such lease.
    #[error("the lease does not exist")]
    LeaseNotFound,
    /// A lease with this id is there already.
    #[error("the lease exists")]
    LeaseExists,
    /// A lease's id or TTL out of bounds.
    #[error("a lease needs an id and a TTL above 0")]
    BadLease,
    /// The expiry was counted by a leader that is no longer in office, or for another grant.
    #[error("the expiry is void: office {office} is open")]
    StaleExpiry {
        /// The office in force.
        office: u64,
    },
    /// A transaction writes one key twice.
    #[error("the transaction writes a key twice")]
    DuplicateKey,
    /// A transaction reads a revision that is not there yet.
    #[error("revision {requested} is in the future, the store is at {current}")]
    FutureRevision {
        /// As asked for.
        requested: Revision,
        /// The store's revision.
        current: Revision,
    },
    /// A transaction reads a revision that is compacted.
    #[error("revision {requested} is compacted, the floor is {floor}")]
    CompactedRevision {
        /// As asked for.
        requested: Revision,
        /// The floor in force.
        floor: Revision,
    },
    /// The sealed payload does not open with the cluster's keys.
    #[error("the sealed value does not open")]
    Unsealable,
}
