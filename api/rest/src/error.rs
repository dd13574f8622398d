//! `metav1.Status`: every refusal, made in one place.

use api_kinds::{Cause, Causes, Kind};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use raft_state::Refusal;
use raft_state::port::{ProposeError, ReadError, WatchError};
use serde_json::{Map, Value, json};

/// A refusal in Kubernetes' own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// HTTP status.
    pub code: u16,
    /// `NotFound`, `Conflict`, `Invalid` …
    pub reason: &'static str,
    /// For people, and for clients that match on it.
    pub message: String,
    details: Box<Map<String, Value>>,
    /// Where a list whose token is too old goes on, if inconsistency is no matter.
    next: Option<String>,
}

impl Status {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Box::default(), next: None }
    }

    fn of(mut self, kind: &Kind, name: &str) -> Self {
        if !name.is_empty() {
            self.details.insert("name".to_owned(), name.into());
        }
        if !kind.group.is_empty() {
            self.details.insert("group".to_owned(), kind.group.into());
        }
        self.details.insert("kind".to_owned(), kind.plural.into());
        self
    }

    pub(crate) fn cause(mut self, reason: &str, message: &str, field: &str) -> Self {
        let mut cause = json!({"reason": reason, "message": message});
        if !field.is_empty() {
            cause["field"] = field.into();
        }
        match self.details.get_mut("causes").and_then(Value::as_array_mut) {
            Some(causes) => causes.push(cause),
            None => drop(self.details.insert("causes".to_owned(), json!([cause]))),
        }
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.details.insert("retryAfterSeconds".to_owned(), seconds.into());
        self
    }

    /// 404 for an object.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", resource(kind))).of(kind, name)
    }

    /// 404 for a path.
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 409: it exists.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", resource(kind))).of(kind, name)
    }

    /// 409: it has changed, or is another one.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource(kind));
        Self::new(409, "Conflict", message).of(kind, name)
    }

    /// 409 of a subresource: `pods/binding`.
    pub fn conflict_of(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        let mut status = Self::new(409, "Conflict", message);
        status.details.insert("name".to_owned(), name.into());
        status.details.insert("kind".to_owned(), resource.into());
        status
    }

    /// 409: a delete's precondition does not hold. Kubernetes names the kind here, not the resource.
    pub fn precondition(kind: &Kind, name: &str, why: &str) -> Self {
        let dotted = if kind.group.is_empty() { kind.kind.to_owned() } else { format!("{}.{}", kind.kind, kind.group) };
        let message = format!("Operation cannot be fulfilled on {dotted} {name:?}: {why}");
        let mut status = Self::new(409, "Conflict", message).of(kind, name);
        status.details.insert("kind".to_owned(), kind.kind.into());
        status
    }

    /// 409 with Kubernetes' text for an object that has changed.
    pub fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    /// 409 of server-side apply.
    pub fn apply_conflicts(conflicts: &[api_schema::apply::Conflict], message: String) -> Self {
        conflicts.iter().fold(Self::new(409, "Conflict", message), |status, conflict| {
            status.cause("FieldManagerConflict", &conflict.message(), &conflict.field)
        })
    }

    /// 422 with every finding.
    pub fn invalid(kind: &Kind, name: &str, causes: &Causes) -> Self {
        let dotted = if kind.group.is_empty() { kind.kind.to_owned() } else { format!("{}.{}", kind.kind, kind.group) };
        let message = format!("{dotted} {name:?} is invalid: {}", listed(causes));
        let mut status = Self::new(422, "Invalid", message).of(kind, name);
        status.details.insert("kind".to_owned(), kind.kind.into());
        status.causes(causes)
    }

    /// 422 for an object of a kind that is answered and not stored.
    pub fn invalid_virtual(group: &str, kind: &str, name: &str, causes: &Causes) -> Self {
        let dotted = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("{dotted} {name:?} is invalid: {}", listed(causes));
        let mut status = Self::new(422, "Invalid", message);
        for (field, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                status.details.insert(field.to_owned(), value.into());
            }
        }
        status.causes(causes)
    }

    fn causes(self, causes: &[Cause]) -> Self {
        causes.iter().fold(self, |status, cause| status.cause(cause.reason.as_str(), &cause.message, &cause.field))
    }

    /// 422 for options that make no sense: `ListOptions`, `PatchOptions` …
    pub fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        let mut status = Self::new(422, "Invalid", format!("{kind}.meta.k8s.io \"\" is invalid: {}", listed(causes)));
        status.details.insert("group".to_owned(), "meta.k8s.io".into());
        status.details.insert("kind".to_owned(), kind.into());
        status.causes(causes)
    }

    /// 422 for a patch that does not fit.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 for an object.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} {name:?} is forbidden: {why}", resource(kind))).of(kind, name)
    }

    /// 403 in Kubernetes' words for a request that its user may not make.
    pub fn not_authorized(message: String) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// 403 because the namespace is going away.
    pub fn namespace_terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let message = format!("namespace {namespace} is being terminated");
        Self::forbidden(kind, name, &why).cause("NamespaceTerminating", &message, "metadata.namespace")
    }

    /// 406.
    pub fn not_acceptable() -> Self {
        Self::new(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )
    }

    /// 406 for a form that an answer does not come in: that of a list for one object, or the other way round. Kubernetes
    /// names the type by which it holds the object.
    pub(crate) fn no_such_form(asked: &str, found: &str, kind: &Kind, suffix: &str) -> Self {
        let package = kind.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
        let message =
            format!("you requested {asked}, but the requested object is {found} (*{package}.{}{suffix})", kind.kind);
        Self::new(406, "NotAcceptable", message)
    }

    /// 410 for a revision that is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 410 for a list's token, with another that goes on at the newest revision.
    pub fn token_expired(next: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
        Self { next: Some(next), ..Self::expired(message) }
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 500.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// 501 for what this node or build cannot do.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(501, "NotImplemented", message)
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message).retry_after(1)
    }

    /// The code 504. Clients are not told to come again: theirs would, ten times, each time for a whole deadline, and with a
    /// write that may have been done.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", message)
    }

    /// 504 for a revision that this member has not reached.
    pub fn revision_too_large(requested: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
        Self::timeout(message).cause("ResourceVersionTooLarge", "Too large resource version", "").retry_after(1)
    }

    /// What a failed proposal means to a client.
    pub(crate) fn proposing(error: &ProposeError) -> Self {
        match error {
            ProposeError::DeadlineExceeded => {
                Self::timeout(format!("request did not complete within the allotted timeout: {error}"))
            }
            // Kubernetes knows no reason for it; the code is WebDAV's, and clients take it as an error of the server.
            ProposeError::ReadOnly(_) => Self::new(507, "InsufficientStorage", error.to_string()),
            ProposeError::TooLarge { .. } => Self::new(413, "RequestEntityTooLarge", error.to_string()),
            _ => Self::unavailable(error.to_string()),
        }
    }

    /// What a failed read means to a client.
    pub(crate) fn reading(error: &ReadError, requested: Option<u64>) -> Self {
        match (error, requested) {
            (ReadError::DeadlineExceeded { current }, Some(requested)) => Self::revision_too_large(requested, *current),
            (ReadError::DeadlineExceeded { .. }, None) => {
                Self::timeout(format!("request did not complete within the allotted timeout: {error}"))
            }
            (ReadError::Compacted { .. }, _) => Self::expired("The resourceVersion for the provided list is too old."),
            (ReadError::Stopping(_), _) => Self::unavailable(error.to_string()),
        }
    }

    /// What a refused watch means to a client.
    pub(crate) fn watching(error: &WatchError) -> Self {
        match error {
            WatchError::Compacted { requested, floor } => {
                Self::expired(format!("too old resource version: {requested} ({floor})"))
            }
            WatchError::Stopping(_) => Self::unavailable(error.to_string()),
        }
    }

    /// What a refused command means to a client.
    pub(crate) fn refused(refusal: &Refusal, kind: &Kind, name: &str) -> Self {
        match refusal {
            Refusal::Exists { .. } => Self::already_exists(kind, name),
            Refusal::NotFound => Self::not_found(kind, name),
            Refusal::Conflict { .. } => Self::modified(kind, name),
            Refusal::StaleEpoch { .. } => Self::conflict(kind, name, "the manager that asked is no longer in office"),
            Refusal::OutcomeUnknown => Self::timeout("the outcome of the request is unknown: it may have been applied"),
            other => Self::internal(other),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(next) = &self.next {
            status["metadata"]["continue"] = next.clone().into();
        }
        if !self.details.is_empty() {
            status["details"] = Value::Object((*self.details).clone());
        }
        status["code"] = self.code.into();
        status
    }
}

/// One finding as it is, more in brackets.
fn listed(causes: &[Cause]) -> String {
    let shown: Vec<String> = causes.iter().map(ToString::to_string).collect();
    match &shown[..] {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// `pods`, `deployments.apps`
pub(crate) fn resource(kind: &Kind) -> String {
    if kind.group.is_empty() { kind.plural.to_owned() } else { format!("{}.{}", kind.plural, kind.group) }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.details.get("retryAfterSeconds").and_then(Value::as_u64) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use raft_state::port::{Refusing, WhyRefused};

    use super::*;

    #[test]
    fn a_failed_proposal_has_the_code_that_clients_know() {
        let check = |error: ProposeError, code: u16, reason: &str| {
            let status = Status::proposing(&error);
            assert_eq!((status.code, status.reason), (code, reason), "{error}");
        };
        let refusing = Refusing { because: WhyRefused::NoSpace, why: "the disk is full".to_owned() };
        check(ProposeError::ReadOnly(refusing), 507, "InsufficientStorage");
        check(ProposeError::DeadlineExceeded, 504, "Timeout");
        check(ProposeError::TooLarge { bytes: 2, limit: 1 }, 413, "RequestEntityTooLarge");
        check(ProposeError::Stopping("soon".to_owned()), 503, "ServiceUnavailable");
    }

    #[test]
    fn clients_come_again_by_themselves_only_where_nothing_was_done() {
        let check = |status: Status, expected: Option<&str>| {
            let text = status.message.clone();
            let response = status.into_response();
            let told = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            assert_eq!(told, expected, "{text}");
        };
        check(Status::proposing(&ProposeError::DeadlineExceeded), None);
        check(Status::revision_too_large(9, 4), Some("1"));
    }
}
