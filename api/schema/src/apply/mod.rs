//! Who owns which field (KEP-555): server-side apply, and the bookkeeping of every other write.
//!
//! A manager's fields are a [`FieldSet`]. A write that is not an apply gives its manager the fields that it changes
//! ([`track_update`]); an apply gives its manager exactly the fields that it names, takes away those that it named before
//! and names no more, and conflicts with other owners of fields that it would change ([`apply`]).

mod diff;
mod error;
mod extent;
mod field_set;
mod label;
mod managers;
mod merge;
mod prune;
mod server_side;
mod track;
mod typing;

pub use error::{ApplyError, Conflict, gvk};
pub use field_set::FieldSet;
pub use server_side::{apply, typed};
pub use track::{managers_of_new, track_update};

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Field manager: the query parameter, or [`default_manager`].
    pub manager: &'a str,
    /// `apps/v1`: the version that the request was made in.
    pub api_version: &'a str,
    /// Empty, or `status`, `scale` …
    pub subresource: &'a str,
    /// Microseconds since the epoch.
    pub now_us: i64,
    /// Paths that this way of writing resets, so that nobody comes to own them by it: `["status"]` for main resources,
    /// `["spec"]` for `/status`. See [`resets`].
    pub reset: &'a [&'a [&'a str]],
}

/// What writes to a main resource reset, where it has a status.
const MAIN_RESETS: &[&[&str]] = &[&["status"]];
const STATUS_RESETS: &[&[&str]] = &[&["spec"]];
const DEPLOYMENT_STATUS_RESETS: &[&[&str]] = &[&["spec"], &["metadata", "labels"]];
const POD_STATUS_RESETS: &[&[&str]] =
    &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]];

/// What writes to a kind (`Pod`) through a subresource (empty for the main resource) reset.
pub fn resets(kind: &str, subresource: &str) -> &'static [&'static [&'static str]] {
    match (subresource, kind) {
        ("status", "Deployment") => DEPLOYMENT_STATUS_RESETS,
        ("status", "Pod") => POD_STATUS_RESETS,
        ("status", _) => STATUS_RESETS,
        _ => MAIN_RESETS,
    }
}

/// Bytes that a manager's name may have.
const MANAGER_LENGTH_MAX: usize = 128;

/// The manager of a request that names none: the program in its user agent.
pub fn default_manager(user_agent: &str) -> String {
    let program = user_agent.split('/').next().unwrap_or_default();
    let mut name = String::new();
    for c in program.chars().filter(|c| !c.is_control()) {
        if name.len() + c.len_utf8() > MANAGER_LENGTH_MAX {
            break;
        }
        name.push(c);
    }
    if name.is_empty() { "unknown".to_owned() } else { name }
}
