//! Who owns which field (KEP-555): server-side apply, and the bookkeeping of every other write.

mod apply;
mod entries;
mod fieldset;
mod track;

pub use apply::{Conflict, Request, apply};
pub use fieldset::FieldSet;
pub use track::{Write, track};
