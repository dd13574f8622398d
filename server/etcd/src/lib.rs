//! The etcd v3 face over a replicated store: what etcdctl, etcd's client libraries and kube-apiserver speak.
//!
//! [`Face::call`] takes an HTTP request, gRPC or one of etcd's few plain pages, and gives the response; sockets and TLS
//! are the shell's. gRPC is spoken by [`grpc`], a thin layer of our own: a message is framed once, the frames of a watch
//! that wait together leave together, and nothing is boxed on the way of a put or a get
//! (`docs/decisions/0005-grpc-without-a-framework.md`).
//!
//! Invariants:
//! - codes and texts are etcd's ([`status`]), so that the clients' own handling of errors works;
//! - keys and values are opaque; keys in the read-only range of a full master are read as they are stored (JSON with
//!   its resourceVersion) and never written here;
//! - a watch is ordered, unique, without gaps, and never split within a revision; a reader that is slow costs memory up
//!   to a bound, and nobody else anything;
//! - a progress notification is sent after every event at or below its revision.

mod auth;
mod cluster;
mod face;
mod grpc;
mod headers;
mod health;
mod kv;
mod lease;
mod maintenance;
mod operator;
mod pages;
mod route;
mod snapshot;
pub mod status;
mod watch;

pub use face::{Face, Options};
pub use grpc::Body;
pub use operator::{Members, Operator};
pub use status::{Code, Status};

/// The version of the API that is spoken here, as `Status` and `/version` give it: clients choose features by it.
pub const API_VERSION: &str = "3.7.3";
/// The same, as the version of the cluster and of its storage.
pub const CLUSTER_VERSION: &str = "3.7.0";
