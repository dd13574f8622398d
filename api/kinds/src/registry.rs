//! Every built-in kind, one row each.

use crate::Kind;

/// All kinds, in the order discovery lists them.
pub static KINDS: &[&Kind] = &[];

/// The kind served at `/apis/<group>/<version>/<plural>`.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.plural == plural)
}

/// The kind of an object's `apiVersion` and `kind`.
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.kind == kind && k.api_version() == api_version)
}
