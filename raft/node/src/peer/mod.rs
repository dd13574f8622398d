//! The peer port: how members reach each other, and what they answer.

pub(crate) mod answers;
pub(crate) mod beats;
pub(crate) mod carrier;
pub(crate) mod dial;
pub(crate) mod exchange;
pub(crate) mod gate;
pub(crate) mod identity;
pub(crate) mod network;
pub(crate) mod port;
pub(crate) mod server;
pub(crate) mod snapshot;
pub(crate) mod socket;
pub(crate) mod stood;
pub(crate) mod warm;
