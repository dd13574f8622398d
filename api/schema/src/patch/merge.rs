//! JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

use super::PatchError;

/// Applies a patch to an object.
///
/// # Errors
/// `Malformed` when the patch is no object: it would replace the whole object.
pub fn apply(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    if !patch.is_object() {
        let found = crate::go::kind_of(patch);
        return Err(PatchError::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        )));
    }
    merge(target, patch);
    Ok(())
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.shift_remove(name);
        } else if change.is_object() {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        } else {
            fields.insert(name.clone(), change.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let check = |original: Value, patch: Value, expected: Value| {
            let mut target = original.clone();
            merge(&mut target, &patch);
            assert_eq!(target, expected, "{original} with {patch}");
        };
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}));
        check(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
        check(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}));
        check(json!({"a": "foo"}), json!("bar"), json!("bar"));
        check(json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }

    #[test]
    fn an_object_is_never_replaced_by_something_else() {
        assert!(apply(&mut json!({"a": 1}), &json!([1])).is_err());
        let mut target = json!({"a": 1});
        apply(&mut target, &json!({"a": null, "b": [1]})).unwrap();
        assert_eq!(target, json!({"b": [1]}));
    }
}
