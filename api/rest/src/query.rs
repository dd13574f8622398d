//! Query parameters.

use std::time::Duration;

use api_schema::FieldValidation;
use percent_encoding::percent_decode_str;

use crate::Status;

/// The parameters that verbs read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) label_selector: Option<String>,
    pub(crate) field_selector: Option<String>,
    pub(crate) limit: usize,
    pub(crate) continue_token: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) resource_version_match: Option<String>,
    pub(crate) watch: bool,
    pub(crate) allow_bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    /// `All`, or what is refused.
    pub(crate) dry_run_values: Vec<String>,
    pub(crate) field_manager: Option<String>,
    pub(crate) field_validation: FieldValidation,
    pub(crate) field_validation_unknown: Option<String>,
    pub(crate) force: bool,
    pub(crate) include_object: Option<String>,
    pub(crate) propagation_policy: Option<String>,
    pub(crate) grace_period_s: Option<i64>,
    pub(crate) verbose: bool,
}

impl Query {
    /// Reads a query string. Unknown parameters are ignored, as Kubernetes does.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
            query.set(name, value)?;
        }
        Ok(query)
    }

    /// Whether nothing is to be written.
    pub(crate) fn dry_run(&self) -> bool {
        !self.dry_run_values.is_empty()
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Status> {
        let flag = |value: &str| matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True" | "");
        let bad = |value: &str| Status::bad_request(format!("invalid value for {name}: {value:?}"));
        match name {
            "labelSelector" => self.label_selector = Some(value),
            "fieldSelector" => self.field_selector = Some(value),
            // Less than nothing is no limit.
            "limit" => self.limit = usize::try_from(integer(&value)?).unwrap_or(0),
            "continue" => self.continue_token = Some(value).filter(|v| !v.is_empty()),
            "resourceVersion" => self.resource_version = Some(value).filter(|v| !v.is_empty()),
            "resourceVersionMatch" => self.resource_version_match = Some(value).filter(|v| !v.is_empty()),
            "watch" => self.watch = flag(&value),
            "allowWatchBookmarks" => self.allow_bookmarks = flag(&value),
            "sendInitialEvents" => self.send_initial_events = Some(flag(&value)),
            "timeoutSeconds" => self.timeout_s = Some(value.parse().map_err(|_| bad(&value))?),
            "timeout" => self.timeout = duration(&value),
            "dryRun" if !value.is_empty() => self.dry_run_values.push(value),
            "fieldManager" => self.field_manager = Some(value).filter(|v| !v.is_empty()),
            "fieldValidation" => match FieldValidation::parse(&value) {
                Some(known) => self.field_validation = known,
                None => self.field_validation_unknown = Some(value),
            },
            "force" => self.force = flag(&value),
            "includeObject" => self.include_object = Some(value),
            "propagationPolicy" => self.propagation_policy = Some(value).filter(|v| !v.is_empty()),
            "gracePeriodSeconds" => self.grace_period_s = Some(integer(&value)?),
            "verbose" => self.verbose = true,
            _ => {}
        }
        Ok(())
    }
}

/// An integer, or Go's words about what is none.
fn integer(text: &str) -> Result<i64, Status> {
    text.parse().map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
}

/// A Go duration in its common forms: `30s`, `1m30s`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, length) = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))
            .map(|(unit, seconds)| (unit.len(), seconds))?;
        rest = &rest[unit..];
        total += Duration::try_from_secs_f64(number * length).ok()?;
    }
    Some(total).filter(|d| !d.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let query = Query::parse("labelSelector=a%3Db%2Cc+in+%28d%29&limit=5&watch&timeout=1m30s&dryRun=All").unwrap();
        assert_eq!(query.label_selector.as_deref(), Some("a=b,c in (d)"));
        assert_eq!((query.limit, query.watch, query.dry_run()), (5, true, true));
        assert_eq!(query.timeout, Some(Duration::from_secs(90)));
        assert!(Query::parse("limit=x").is_err());
        assert_eq!(Query::parse("fieldValidation=Maybe").unwrap().field_validation_unknown.as_deref(), Some("Maybe"));
        assert_eq!(duration("soon"), None);
    }
}
