//! JSON patch (RFC 6902).

use serde_json::Value;

use super::PatchError;

/// Kubernetes' bound on one patch.
const OPERATIONS_MAX: usize = 10_000;

/// Applies a patch; on an error the target is as it was.
///
/// # Errors
/// `Malformed` when it is no list, `TooLarge` beyond 10,000 operations, `DoesNotApply` when an operation is none, a path is
/// missing or a test fails.
pub fn apply(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Some(operations) = patch.as_array() else {
        let found = crate::go::kind_of(patch);
        return Err(PatchError::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooLarge { max: OPERATIONS_MAX, found: operations.len() });
    }
    let patch: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|error| PatchError::DoesNotApply(error.to_string()))?;
    json_patch::patch(target, &patch).map_err(|error| PatchError::DoesNotApply(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_apply_in_order_or_not_at_all() {
        let check = |patch: Value, expected: Option<Value>| {
            let original = json!({"metadata": {"labels": {"a/b": "1"}}, "list": [1, 2]});
            let mut target = original.clone();
            let result = apply(&mut target, &patch);
            assert_eq!(result.is_ok(), expected.is_some(), "{patch}: {result:?}");
            assert_eq!(target, expected.unwrap_or(original), "{patch}");
        };
        check(
            json!([{"op": "test", "path": "/list/0", "value": 1}, {"op": "replace", "path": "/list/0", "value": 3}]),
            Some(json!({"metadata": {"labels": {"a/b": "1"}}, "list": [3, 2]})),
        );
        check(
            json!([{"op": "remove", "path": "/metadata/labels/a~1b"}, {"op": "add", "path": "/list/-", "value": 4}]),
            Some(json!({"metadata": {"labels": {}}, "list": [1, 2, 4]})),
        );
        check(
            json!([{"op": "copy", "from": "/list/1", "path": "/list/0"}, {"op": "move", "from": "/metadata", "path": "/m"}]),
            Some(json!({"list": [2, 1, 2], "m": {"labels": {"a/b": "1"}}})),
        );
        check(json!([{"op": "add", "path": "/x", "value": 1}, {"op": "test", "path": "/x", "value": 2}]), None);
        check(json!([{"op": "remove", "path": "/nowhere"}]), None);
        check(json!([{"op": "replace", "path": "/metadata/no/where", "value": 1}]), None);
        check(json!([{"op": "jump", "path": "/list"}]), None);
        check(json!({"op": "remove"}), None);
    }

    #[test]
    fn endless_patches_are_refused() {
        let operations = vec![json!({"op": "add", "path": "/a", "value": 1}); OPERATIONS_MAX + 1];
        assert_eq!(
            apply(&mut json!({}), &Value::Array(operations)).unwrap_err().to_string(),
            "The allowed maximum operations in a JSON patch is 10000, got 10001"
        );
    }
}
