//! What goes wrong, and whether trying again can help or harm.

use std::error::Error as _;

use tonic::{Code, Status};

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A master's answer.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// The revision lies below what is kept: list again.
    #[error("revisions below {floor} are compacted")]
    Compacted {
        /// The compaction floor.
        floor: u64,
    },
    /// The call may or may not have had its effect.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// No master answered before the deadline; nothing was changed.
    #[error("no master answered in time, the last said: {0}")]
    Unreachable(String),
    /// Addresses or certificates that make no sense.
    #[error("the client is set up wrongly: {0}")]
    Setup(String),
}

impl Error {
    /// The gRPC code, when a master gave one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(status) => Some(status.code()),
            Self::Compacted { .. } => Some(Code::OutOfRange),
            _ => None,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let floor = status.metadata().get("trireme-compacted-revision").and_then(|floor| floor.to_str().ok());
        match floor.and_then(|floor| floor.parse().ok()) {
            Some(floor) => Self::Compacted { floor },
            None => Self::Refused(Box::new(status)),
        }
    }
}

/// Whether the request has not left this process, or a master says that it changed nothing.
pub(crate) fn changed_nothing(status: &Status) -> bool {
    if status.metadata().get("trireme-applied").is_some_and(|applied| applied == "no") {
        return true;
    }
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether another master, or the same one later, may answer better.
pub(crate) fn may_pass(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        // The disk is full there, perhaps not elsewhere; room may return.
        Code::ResourceExhausted => changed_nothing(status),
        // What tonic makes of a connection that broke, as opposed to what a master says.
        Code::Unknown | Code::Internal | Code::Cancelled => status.source().is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_whether_to_try_again() {
        let check = |status: Status, passes: bool, untouched: bool| {
            assert_eq!((may_pass(&status), changed_nothing(&status)), (passes, untouched), "{status:?}");
        };
        check(Status::unavailable("stopping"), true, false);
        check(Status::invalid_argument("no key is empty"), false, false);
        check(Status::internal("a defect"), false, false);
        let mut full = Status::resource_exhausted("the disk is full");
        check(full.clone(), false, false);
        full.metadata_mut().insert("trireme-applied", "no".parse().unwrap());
        check(full, true, true);
        let mut unreached = Status::unavailable("connecting");
        unreached.set_source(std::sync::Arc::new(tonic::ConnectError("refused".into())));
        check(unreached, true, true);
    }

    #[test]
    fn a_compacted_revision_names_the_floor() {
        let mut status = Status::out_of_range("too old");
        status.metadata_mut().insert("trireme-compacted-revision", "17".parse().unwrap());
        assert!(matches!(Error::from(status), Error::Compacted { floor: 17 }));
    }
}
