//! Objects as protobuf (`application/vnd.kubernetes.protobuf`), which client-go's typed clients send and ask for.
//!
//! Field numbers come from the committed `table.txt`, shapes and JSON names from [`Definitions`]; one reader and one writer
//! walk both. What is read looks as Go's own JSON of the same struct would: empty values appear or vanish as the struct's
//! tags say. An object travels in an envelope (`runtime.Unknown` behind four magic bytes) that names its type.

mod envelope;
mod read;
mod scalar;
mod table;
pub(crate) mod wire;
mod write;

pub use envelope::{MAGIC, envelope, is_enveloped};
pub use read::{ReadError, read};
pub use write::{encode, list_head, list_item, message, partial_message, watch_frame};

#[cfg(doc)]
use crate::Definitions;
