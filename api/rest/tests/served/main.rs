//! The router over the solo store: what clients get, status by status and header by header.

mod bootstrap;
mod contention;
mod documents;
mod ephemeral;
mod events;
mod health;
mod lagging;
mod protobuf;
mod reads;
mod recorded;
mod refusals;
mod server;
mod sockets;
mod statuses;
mod tokens;
mod watches;
