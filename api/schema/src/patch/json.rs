//! JSON patch (RFC 6902).

use serde_json::Value;

use super::PatchError;

/// Kubernetes' bound on one patch.
const OPERATIONS_MAX: usize = 10_000;

/// Applies a patch.
///
/// # Errors
/// `Malformed` when it is no patch, `DoesNotApply` when a path is missing or a test fails.
pub fn apply(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let operations = patch.as_array().map_or(0, Vec::len);
    if operations > OPERATIONS_MAX {
        return Err(PatchError::Malformed(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {operations}"
        )));
    }
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| PatchError::Malformed(format!("error decoding patch: {error}")))?;
    json_patch::patch(target, &patch).map_err(|error| PatchError::DoesNotApply(error.to_string()))
}
