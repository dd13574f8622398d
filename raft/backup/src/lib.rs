//! What leaves a cluster and comes into one: backups in Trireme's own format, and in etcd's.
//!
//! A backup is made from a snapshot in memory, so that it delays nobody, and read from a stream of bytes, from its beginning
//! to its end, so that its size does not matter.
//!
//! Invariants:
//! - a backup is of one revision;
//! - a file that was cut short, altered or put together from others is refused, and the reader says where;
//! - what is encrypted in the store is encrypted in Trireme's format, and no key is in it in the clear;
//! - the same snapshot gives the same file, but for nonces.

mod bbolt;
mod contents;
mod error;
pub mod etcd;
mod frame;
mod read;
mod write;

pub use contents::{Contents, Shift, Version};
pub use error::Error;
pub use read::{Checked, Reader, is_backup};
pub use write::{Backup, Origin};

pub use api_proto::backup::{Header, WrappedKeys};
