//! The Kubernetes API over a replicated store, generic over kinds.
//!
//! A request goes through: path → identity → authorization → decoding → defaults → admission → validation → one command →
//! the store. Objects are serialised once, when they are written; reads, lists and watches pass those bytes on.
//! Controllers use the same functions in process ([`call`]).

mod admission;
mod allocate;
pub mod api;
mod authz;
pub mod bootstrap;
pub mod call;
mod compress;
mod config;
mod context;
mod discovery;
mod error;
mod events;
mod forms;
mod health;
mod identity;
mod metrics;
mod negotiate;
mod object;
mod openapi;
mod query;
mod review;
mod route;
mod skim;
mod sub;
mod table;
pub mod token;
mod verbs;
mod watches;

pub use api::{Api, identified};
pub use config::Config;
pub use error::Status;
pub use identity::Identity;
pub use metrics::Metrics;
