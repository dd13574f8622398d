//! Label and field selectors: as strings in queries, as objects in specs.

mod field;
mod object;
mod parse;

use std::fmt;

use serde_json::Value;

pub use field::{FieldTerm, parse_fields};
pub use object::{format, validate};

use crate::path::{entries, items, text};

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
    /// This.
    Equals(String),
    /// Absent, or not this.
    NotEquals(String),
    /// One of these; sorted when parsed.
    In(Vec<String>),
    /// Absent, or none of these; sorted when parsed.
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
            Operator::Equals(wanted) => value == Some(wanted),
            Operator::NotEquals(unwanted) => value != Some(unwanted),
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
    /// Selects nothing.
    pub fn nothing() -> Self {
        Self(vec![Requirement { key: String::new(), operator: Operator::In(Vec::new()) }])
    }

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
        parse::parse(text)
    }

    /// A map of labels that must all be there (the selector of a Service). None of them selects everything: a Service
    /// without a selector selects nothing, which is for the caller to know.
    pub fn from_map(labels: &Value) -> Self {
        let mut requirements: Vec<Requirement> =
            labels.as_object().into_iter().flatten().map(|(key, value)| equals(key, value)).collect();
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self(requirements)
    }

    /// A `metav1.LabelSelector`. An absent one selects nothing, an empty one everything; operators that validation has not
    /// let in never match.
    pub fn from_object(selector: &Value) -> Self {
        if !selector.is_object() {
            return Self::nothing();
        }
        let mut requirements: Vec<Requirement> =
            entries(selector, "matchLabels").map(|(key, value)| equals(key, value)).collect();
        requirements.extend(items(selector, "matchExpressions").iter().map(Self::expression));
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self(requirements)
    }

    /// One `{key, operator, values}`, of a label selector or a node selector.
    pub fn expression(expression: &Value) -> Requirement {
        let mut values: Vec<String> =
            items(expression, "values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let number = values.first().and_then(|v| v.parse().ok());
        let never = || Operator::In(Vec::new());
        let operator = match text(expression, "operator") {
            "In" => {
                values.sort();
                Operator::In(values)
            }
            "NotIn" => {
                values.sort();
                Operator::NotIn(values)
            }
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => number.map_or_else(never, Operator::Gt),
            "Lt" => number.map_or_else(never, Operator::Lt),
            _ => never(),
        };
        Requirement { key: text(expression, "key").to_owned(), operator }
    }
}

fn equals(key: &str, value: &Value) -> Requirement {
    let value = value.as_str().unwrap_or_default().to_owned();
    Requirement { key: key.to_owned(), operator: Operator::Equals(value) }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::Equals(value) => write!(f, "{key}={value}"),
            Operator::NotEquals(value) => write!(f, "{key}!={value}"),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Gt(bound) => write!(f, "{key}>{bound}"),
            Operator::Lt(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
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
        check("app=", false);
    }

    #[test]
    fn selectors_of_specs_select_what_they_say() {
        let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}]});
        assert!(Selector::from_object(&selector).matches_json(&json!({"app": "web"})));
        assert!(!Selector::from_object(&selector).matches_json(&json!({"app": "web", "tier": "back"})));
        assert!(Selector::from_object(&json!({})).matches_json(&json!({})));
        assert!(!Selector::from_object(&Value::Null).matches_json(&json!({})));
    }
}
