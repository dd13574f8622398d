//! The patches that are not apply: JSON patch, JSON merge patch, strategic merge patch. What comes out may hold unknown
//! fields and nulls: [`crate::check`] it.

pub mod json;
pub mod merge;
mod order;
pub mod strategic;

/// Why a patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: 400.
    #[error("{0}")]
    Malformed(String),
    /// The patch has too many operations: 413.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {found}")]
    TooLarge {
        /// The limit.
        max: usize,
        /// What the patch has.
        found: usize,
    },
    /// The patch makes no sense to the schema: 500 in Kubernetes, with this message.
    #[error("{0}")]
    Failed(String),
    /// The patch does not fit the object: 422. Of JSON patches Kubernetes tells clients only that
    /// `the server rejected our request due to an error in our request`; this is the reason.
    #[error("{0}")]
    DoesNotApply(String),
}
