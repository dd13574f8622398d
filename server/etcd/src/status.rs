//! What went wrong, in etcd's codes and texts (its `rpctypes`): clients recognise errors by them.

use std::borrow::Cow;

use raft_state::Refusal;
use raft_state::port::{ProposeError, ReadError, WhyRefused};

/// A status code of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are gRPC's own")]
pub enum Code {
    Ok = 0,
    Canceled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
}

/// A code with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// The text.
    pub message: Cow<'static, str>,
}

macro_rules! known {
    ($($name:ident = $code:ident, $text:literal;)*) => {
        impl Status {
            $(#[doc = concat!("`", $text, "`")]
            pub const $name: Self = Self { code: Code::$code, message: Cow::Borrowed($text) };)*
        }
    };
}

known! {
    EMPTY_KEY = InvalidArgument, "etcdserver: key is not provided";
    KEY_NOT_FOUND = InvalidArgument, "etcdserver: key not found";
    VALUE_PROVIDED = InvalidArgument, "etcdserver: value is provided";
    LEASE_PROVIDED = InvalidArgument, "etcdserver: lease is provided";
    TOO_MANY_OPS = InvalidArgument, "etcdserver: too many operations in txn request";
    DUPLICATE_KEY = InvalidArgument, "etcdserver: duplicate key given in txn request";
    INVALID_SORT = InvalidArgument, "etcdserver: invalid sort option";
    COMPACTED = OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    FUTURE_REVISION = OutOfRange, "etcdserver: mvcc: required revision is a future revision";
    NO_SPACE = ResourceExhausted, "etcdserver: mvcc: database space exceeded";
    CORRUPT = DataLoss, "etcdserver: corrupt cluster";
    LEASE_NOT_FOUND = NotFound, "etcdserver: requested lease not found";
    LEASE_EXISTS = FailedPrecondition, "etcdserver: lease already exists";
    LEASE_TTL_TOO_LARGE = OutOfRange, "etcdserver: too large lease TTL";
    MEMBER_EXISTS = FailedPrecondition, "etcdserver: member ID already exist";
    PEER_URL_EXISTS = FailedPrecondition, "etcdserver: Peer URLs already exists";
    MEMBER_NOT_ENOUGH_STARTED = FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members";
    MEMBER_BAD_URLS = InvalidArgument, "etcdserver: given member URLs are invalid";
    MEMBER_NOT_FOUND = NotFound, "etcdserver: member not found";
    MEMBER_NOT_LEARNER = FailedPrecondition, "etcdserver: can only promote a learner member";
    LEARNER_NOT_READY = FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader";
    REQUEST_TOO_LARGE = InvalidArgument, "etcdserver: request is too large";
    AUTH_NOT_ENABLED = FailedPrecondition, "etcdserver: authentication is not enabled";
    NO_LEADER = Unavailable, "etcdserver: no leader";
    NOT_LEADER = FailedPrecondition, "etcdserver: not leader";
    NOT_CAPABLE = FailedPrecondition, "etcdserver: not capable";
    STOPPED = Unavailable, "etcdserver: server stopped";
    TIMEOUT = Unavailable, "etcdserver: request timed out";
    BAD_TRANSFEREE = FailedPrecondition, "etcdserver: bad leader transferee";
    NO_DOWNGRADE = FailedPrecondition, "etcdserver: no inflight downgrade job";
    DOWNGRADE_FORMAT = InvalidArgument, "etcdserver: wrong downgrade target version format";
    DOWNGRADE_TARGET = InvalidArgument, "etcdserver: invalid downgrade target version";
    STREAM_SORT = Unimplemented, "RangeStream does not support custom sort orders";
    STREAM_FILTER = Unimplemented, "RangeStream does not support revision filters";
}

impl Status {
    /// A status with a text of its own.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// A request that this face does not know.
    pub fn unknown_method(service: &str, method: &str) -> Self {
        Self::new(Code::Unimplemented, format!("unknown method {method} for service {service}"))
    }
}

impl From<ProposeError> for Status {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::DeadlineExceeded => Self::TIMEOUT,
            ProposeError::Stopping(_) => Self::STOPPED,
            ProposeError::ReadOnly(refusing) => match refusing.because {
                WhyRefused::NoSpace => Self::NO_SPACE,
                WhyRefused::Diverged => Self::CORRUPT,
            },
            ProposeError::TooLarge { .. } => Self::REQUEST_TOO_LARGE,
        }
    }
}

impl From<ReadError> for Status {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::DeadlineExceeded { .. } => Self::TIMEOUT,
            ReadError::Compacted { .. } => Self::COMPACTED,
            ReadError::Stopping(_) => Self::STOPPED,
        }
    }
}

impl From<&Refusal> for Status {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::KEY_NOT_FOUND,
            Refusal::LeaseNotFound | Refusal::BadLease => Self::LEASE_NOT_FOUND,
            Refusal::LeaseExists => Self::LEASE_EXISTS,
            Refusal::DuplicateKey => Self::DUPLICATE_KEY,
            Refusal::FutureRevision { .. } => Self::FUTURE_REVISION,
            Refusal::CompactedRevision { .. } => Self::COMPACTED,
            Refusal::BadCompaction { requested, current, .. } if requested > current => Self::FUTURE_REVISION,
            Refusal::BadCompaction { .. } => Self::COMPACTED,
            // Whether it was applied nobody can tell, which is what a timeout says.
            Refusal::OutcomeUnknown => Self::TIMEOUT,
            other => Self::new(Code::Internal, format!("etcdserver: {other}")),
        }
    }
}
