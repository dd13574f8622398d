//! The router over the solo store: what clients get, status by status and header by header.

mod events;
mod protobuf;
mod reads;
mod server;
mod statuses;
mod watches;
