//! Label and field selectors: as strings in queries, as objects in specs.

use serde_json::Value;

use crate::path::{Findings, items, text};
use crate::{Causes, names};

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// How the label is compared.
    pub operator: Operator,
}

/// How a label is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// One of these.
    In(Vec<String>),
    /// Absent, or none of these.
    NotIn(Vec<String>),
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// An integer above.
    Gt(i64),
    /// An integer below.
    Lt(i64),
}

/// Requirements that must all hold; none select everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(pub Vec<Requirement>);

impl Requirement {
    /// Whether a label with this value, or none, satisfies it.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
            Operator::NotIn(values) => value.is_none_or(|v| values.iter().all(|w| w != v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt(bound) => number().is_some_and(|n| n > *bound),
            Operator::Lt(bound) => number().is_some_and(|n| n < *bound),
        }
    }
}

impl Selector {
    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels, looked up by key, satisfy all requirements.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Whether the labels of a JSON map satisfy it.
    pub fn matches_json(&self, labels: &Value) -> bool {
        self.matches(|key| labels.get(key).and_then(Value::as_str))
    }

    /// Reads `a=b,c!=d,e in (f,g),h,!i`.
    ///
    /// # Errors
    /// With the message of Kubernetes' parser.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for part in split(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err("unable to parse requirement: found ',', expected: identifier after ','".to_owned());
            }
            requirements.push(requirement(part)?);
        }
        Ok(Self(requirements))
    }

    /// A `metav1.LabelSelector`; operators that validation has not let in count as never matching.
    pub fn from_object(selector: &Value) -> Self {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement { key: key.clone(), operator: Operator::In(vec![value]) });
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            requirements.push(Self::expression(expression));
        }
        Self(requirements)
    }

    /// One `{key, operator, values}`.
    pub fn expression(expression: &Value) -> Requirement {
        let values: Vec<String> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let number = || values.first().and_then(|v| v.parse().ok());
        let operator = match text(expression, "operator") {
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => number().map_or(Operator::In(Vec::new()), Operator::Gt),
            "Lt" => number().map_or(Operator::In(Vec::new()), Operator::Lt),
            _ => Operator::In(values),
        };
        Requirement { key: text(expression, "key").to_owned(), operator }
    }
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let checked = |key: &str, operator: Operator| {
        let key = key.trim().to_owned();
        match names::qualified_name(&key).into_iter().next() {
            Some(message) => Err(format!("unable to parse requirement: <nil>: Invalid value: {key:?}: {message}")),
            None => Ok(Requirement { key, operator }),
        }
    };
    if let Some(key) = part.strip_prefix('!') {
        return checked(key, Operator::DoesNotExist);
    }
    if let Some((key, value)) = part.split_once("!=") {
        return checked(key, Operator::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return checked(key, Operator::In(vec![value.trim().to_owned()]));
    }
    for (word, not) in [(" notin ", true), (" in ", false)] {
        let spaced = part.replacen('(', " (", 1);
        if let Some((key, list)) = spaced.split_once(word) {
            let list = list.trim().strip_prefix('(').and_then(|l| l.strip_suffix(')'));
            let list = list.ok_or_else(|| format!("unable to parse requirement: found '{part}', expected: '('"))?;
            let values = list.split(',').map(|v| v.trim().to_owned()).collect();
            return checked(key, if not { Operator::NotIn(values) } else { Operator::In(values) });
        }
    }
    for (sign, above) in [('>', true), ('<', false)] {
        if let Some((key, value)) = part.split_once(sign) {
            let bound = value.trim().parse().map_err(|_| {
                format!("unable to parse requirement: values[0][{}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer", key.trim())
            })?;
            return checked(key, if above { Operator::Gt(bound) } else { Operator::Lt(bound) });
        }
    }
    checked(part, Operator::Exists)
}

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// `metadata.name`
    pub field: String,
    /// What it is compared with.
    pub value: String,
    /// Whether it must be equal, or must not.
    pub equal: bool,
}

/// Reads `metadata.name=x,status.phase!=Running`.
///
/// # Errors
/// With the message of Kubernetes' parser.
pub fn parse_fields(text: &str) -> Result<Vec<FieldTerm>, String> {
    text.split(',')
        .filter(|term| !term.is_empty())
        .map(|term| {
            let (field, value, equal) = if let Some((field, value)) = term.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (field, value, true)
            } else {
                return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
            };
            Ok(FieldTerm { field: field.to_owned(), value: value.to_owned(), equal })
        })
        .collect()
}

/// Findings about a `metav1.LabelSelector`.
pub fn validate(selector: &Value, path: &str) -> Causes {
    let mut findings = Findings::default();
    crate::meta::labels(selector.get("matchLabels"), &format!("{path}.matchLabels"), &mut findings);
    for (path, expression) in items(selector, "matchExpressions", path) {
        let values = expression["values"].as_array().map_or(0, Vec::len);
        match text(expression, "operator") {
            "In" | "NotIn" if values == 0 => {
                findings.required(&format!("{path}.values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                findings.forbidden(
                    &format!("{path}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                findings.invalid(&format!("{path}.operator"), &Value::from(other), "not a valid selector operator")
            }
        }
        let key = text(expression, "key");
        findings.names(&format!("{path}.key"), key, names::qualified_name(key));
    }
    findings.done()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_of_queries_select_what_they_say() {
        let labels = json!({"app": "web", "tier": "front", "n": "5"});
        let check = |text: &str, expected: bool| {
            assert_eq!(Selector::parse(text).unwrap().matches_json(&labels), expected, "{text}");
        };
        check("", true);
        check("app=web", true);
        check("app==web,tier=front", true);
        check("app!=web", false);
        check("other!=x", true);
        check("app in (api, web)", true);
        check("app notin (api,web)", false);
        check("app in(web)", true);
        check("app", true);
        check("!app", false);
        check("n>4", true);
        check("n<5", false);
        for bad in ["a b=c", "app in web", "=x", "a=b,,c=d", "n>x"] {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn selectors_of_specs_select_what_they_say() {
        let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}]});
        assert!(Selector::from_object(&selector).matches_json(&json!({"app": "web"})));
        assert!(!Selector::from_object(&selector).matches_json(&json!({"app": "web", "tier": "back"})));
        assert!(validate(&selector, "spec.selector").is_empty());
    }
}
