//! What the store's errors are to gRPC clients: the one place.

use raft_state::port::{ProposeError, ReadError, WatchError};
use raft_state::{Refusal, Revision};
use tonic::Status;
use tonic::metadata::MetadataValue;

/// Says "no" when a failed call is known to have changed nothing.
const APPLIED: &str = "trireme-applied";
/// The compaction floor, when a revision lies below it.
const COMPACTED: &str = "trireme-compacted-revision";

/// What a stream says that ends with its master.
const STOPPING: &str = "this member is stopping; go on at another";

fn untouched(mut status: Status) -> Status {
    status.metadata_mut().insert(APPLIED, MetadataValue::from_static("no"));
    status
}

fn compacted(requested: Revision, floor: Revision) -> Status {
    let mut status = Status::out_of_range(format!("revision {requested} is compacted, the floor is {floor}"));
    status.metadata_mut().insert(COMPACTED, MetadataValue::from(floor));
    status
}

/// Of a proposal.
pub(super) fn proposing(error: &ProposeError) -> Status {
    let text = error.to_string();
    match error {
        ProposeError::DeadlineExceeded => Status::deadline_exceeded(text),
        ProposeError::ReadOnly(_) => untouched(Status::resource_exhausted(text)),
        ProposeError::TooLarge { .. } => untouched(Status::invalid_argument(text)),
        // It may have been on its way when the member stopped.
        ProposeError::Stopping(_) => Status::unavailable(text),
    }
}

/// Of a read.
pub(super) fn reading(error: &ReadError) -> Status {
    match error {
        ReadError::DeadlineExceeded { .. } => Status::deadline_exceeded(error.to_string()),
        ReadError::Compacted { requested, floor } => compacted(*requested, *floor),
        ReadError::Stopping(_) => Status::unavailable(error.to_string()),
    }
}

/// Of a watch.
pub(super) fn watching(error: &WatchError) -> Status {
    match error {
        WatchError::Compacted { requested, floor } => compacted(*requested, *floor),
        WatchError::Stopping(_) => Status::unavailable(STOPPING),
    }
}

/// Of a command.
pub(super) fn refused(refusal: &Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::LeaseNotFound | Refusal::NotFound => Status::not_found(text),
        Refusal::LeaseExists | Refusal::Exists { .. } => Status::already_exists(text),
        Refusal::Conflict { .. } | Refusal::StaleEpoch { .. } | Refusal::StaleExpiry { .. } => {
            Status::failed_precondition(text)
        }
        Refusal::BadLease | Refusal::DuplicateKey => Status::invalid_argument(text),
        Refusal::BadCompaction { requested, floor, .. } if requested <= floor => compacted(*requested, *floor),
        Refusal::BadCompaction { .. } | Refusal::FutureRevision { .. } => Status::out_of_range(text),
        Refusal::CompactedRevision { requested, floor } => compacted(*requested, *floor),
        Refusal::OutcomeUnknown => Status::unknown(text),
        _ => Status::internal(text),
    }
}

#[cfg(test)]
mod tests {
    use raft_state::port::{Refusing, WhyRefused};
    use tonic::Code;

    use super::*;

    #[test]
    fn a_refused_write_says_whether_it_may_be_sent_again() {
        let check = |error: ProposeError, code: Code, applied: Option<&str>| {
            let status = proposing(&error);
            let said = status.metadata().get(APPLIED).map(|value| value.to_str().expect("ASCII"));
            assert_eq!((status.code(), said), (code, applied), "{error}");
        };
        let refusing = Refusing { because: WhyRefused::NoSpace, why: "the disk is full".to_owned() };
        check(ProposeError::ReadOnly(refusing), Code::ResourceExhausted, Some("no"));
        check(ProposeError::TooLarge { bytes: 9, limit: 8 }, Code::InvalidArgument, Some("no"));
        check(ProposeError::DeadlineExceeded, Code::DeadlineExceeded, None);
        check(ProposeError::Stopping(String::new()), Code::Unavailable, None);
    }

    #[test]
    fn what_is_compacted_names_the_floor() {
        let status = watching(&WatchError::Compacted { requested: 3, floor: 9 });
        assert_eq!(status.code(), Code::OutOfRange);
        assert_eq!(status.metadata().get(COMPACTED).map(|v| v.as_bytes()), Some(&b"9"[..]));
    }
}
