//! Leases in time: the leader counts, followers ask it.
//!
//! A leader opens an office by a command before it promises anything, and then gives every lease its full time: it cannot
//! know what its predecessor had promised. Renewals make no log entry. One is acknowledged only after a quorum has
//! confirmed that this member still leads, so that no later leader can have begun to count before it. A lease whose end
//! has been proposed is promised to nobody until the outcome is known. See docs/decisions.

mod ask;
mod deadlines;
mod keeper;

pub(crate) use ask::Leases;
pub(crate) use keeper::{Keeper, time_to};
