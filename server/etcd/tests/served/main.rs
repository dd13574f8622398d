//! The face over a store of one process, spoken to as clients do: framed messages in, frames and trailers out.

mod client;
mod kv;
mod lagging;
mod leases;
mod maintenance;
mod txn;
mod watches;
