//! Structural schemas of the API's types, and everything that works on them: checking and pruning, patches, field
//! ownership for server-side apply, OpenAPI documents.
//!
//! Pure. One engine serves built-in kinds (facts in `definitions.txt`) and, built from their own schemas, custom ones.

pub mod check;
pub mod definitions;
pub mod managed;
pub mod openapi;
pub mod parse;
pub mod patch;

pub use check::{TypeError, check};
pub use definitions::{Definition, Field, Type};

/// What to do about fields that the schema does not know, and about duplicates (`fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}
