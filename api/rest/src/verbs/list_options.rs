//! What a list or a watch may ask for (`metav1.ListOptions`): combinations that make no sense are refused, in Kubernetes'
//! words.

use api_kinds::{Cause, Reason};

use crate::Status;
use crate::query::Query;

/// Refuses options that contradict each other.
pub(crate) fn check(query: &Query, watches: bool) -> Result<(), Status> {
    let mut causes = Vec::new();
    let mut refuse = |reason: Reason, field: &str, message: String| {
        causes.push(Cause { reason, field: field.to_owned(), message });
    };
    let mut forbid = |field: &str, why: &str| refuse(Reason::Forbidden, field, format!("Forbidden: {why}"));
    let matches = query.resource_version_match.as_deref();
    if watches {
        if query.send_initial_events.is_some() && matches != Some("NotOlderThan") {
            forbid("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if query.send_initial_events.is_none() && matches.is_some() {
            forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
    } else {
        if matches.is_some() && query.resource_version.is_none() {
            forbid("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if matches == Some("Exact") && query.resource_version.as_deref() == Some("0") {
            forbid("resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
        if query.send_initial_events.is_some() {
            forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
    }
    if matches.is_some() && query.continue_token.is_some() {
        forbid("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
    }
    let supported: &[&str] = if watches { &["NotOlderThan"] } else { &["Exact", "NotOlderThan"] };
    if let Some(other) = matches.filter(|wanted| !supported.contains(wanted)) {
        let shown: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let more = if watches { "" } else { ", \"\"" };
        let message = format!("Unsupported value: {other:?}: supported values: {}{more}", shown.join(", "));
        refuse(Reason::NotSupported, "resourceVersionMatch", message);
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid_options("ListOptions", &causes)) }
}
