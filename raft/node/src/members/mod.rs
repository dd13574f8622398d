//! Members that come and go.
//!
//! What people order is a *wish*: the kind that a member is meant to be, replicated in the membership itself. The leader's
//! autopilot brings the voters in line with the wishes, one safe change at a time, whoever leads and however often that
//! changes meanwhile. So every order is idempotent, and a crash in the midst of one leaves nothing to clean up.

pub(crate) mod admin;
pub(crate) mod admission;
pub(crate) mod belonging;
pub(crate) mod decide;
pub(crate) mod observe;
pub(crate) mod orders;
pub(crate) mod pilot;
pub(crate) mod recover;
pub(crate) mod wish;
