//! `metav1.LabelSelector` objects: judged and printed.

use serde_json::Value;

use super::Selector;
use crate::findings::Findings;
use crate::path::{Path, items, text};
use crate::{meta, names};

/// Findings about a `metav1.LabelSelector`; none about an absent one.
pub fn validate(selector: &Value, at: Path<'_>, findings: &mut Findings) {
    meta::labels(selector, at, "matchLabels", findings);
    let list = at.field("matchExpressions");
    for (index, expression) in items(selector, "matchExpressions").iter().enumerate() {
        let at = list.index(index);
        let values = items(expression, "values");
        match text(expression, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                findings.required(at.field("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let message = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                findings.forbidden(at.field("values"), message);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => findings.invalid(at.field("operator"), other, "not a valid selector operator"),
        }
        let key = text(expression, "key");
        findings.names(at.field("key"), key, names::qualified_name(key));
        for (index, value) in values.iter().filter_map(Value::as_str).enumerate() {
            findings.names(at.field("values").index(index), value, names::label_value(value));
        }
    }
}

/// A selector as tables print it (`metav1.FormatLabelSelector`): `<none>` when it selects everything.
pub fn format(selector: &Value) -> String {
    match Selector::from_object(selector) {
        _ if !selector.is_object() => "<none>".to_owned(),
        selector if selector.is_empty() => "<none>".to_owned(),
        selector => selector.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_judged_as_kubernetes_judges_them() {
        let check = |selector: Value, expected: &[&str]| {
            let mut findings = Findings::default();
            validate(&selector, Path::root("spec.selector"), &mut findings);
            let found: Vec<String> = findings.done().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"matchLabels": {"a": "b"}}), &[]);
        check(
            json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
            &[
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ],
        );
        check(
            json!({"matchExpressions": [{"key": "a", "operator": "Is", "values": ["x"]}]}),
            &["spec.selector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator"],
        );
    }

    #[test]
    fn selectors_are_printed_as_kubectl_prints_them() {
        let check = |selector: Value, expected: &str| assert_eq!(format(&selector), expected);
        check(json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2");
        check(json!({"matchExpressions": [{"key": "t", "operator": "In", "values": ["y", "x"]}]}), "t in (x,y)");
        check(json!({}), "<none>");
        check(Value::Null, "<none>");
    }
}
