//! Spans in OTLP's form.

use std::time::{SystemTime, UNIX_EPOCH};

use api_proto::otlp as pb;
use raft_trace::{Ended, Kind, Value};

/// What a member sends of its spans.
pub(super) fn request(member: &str, spans: Vec<Ended>) -> pb::ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let about = [("service.name", "trireme"), ("service.version", version), ("service.instance.id", member)];
    let attributes = about.into_iter().map(|(key, text)| attribute(key, &Value::from(text))).collect();
    let scope = Some(pb::Scope { name: "trireme".to_owned(), version: version.to_owned() });
    let spans = spans.into_iter().map(span).collect();
    let scope_spans = vec![pb::ScopeSpans { scope, spans }];
    let resource = Some(pb::Resource { attributes });
    pb::ExportTraceServiceRequest { resource_spans: vec![pb::ResourceSpans { resource, scope_spans }] }
}

fn span(ended: Ended) -> pb::Span {
    let kind = match ended.kind {
        Kind::Internal => pb::span::Kind::Internal,
        Kind::Server => pb::span::Kind::Server,
    };
    let failed = |message| pb::Status { message, code: pb::status::Code::Error.into() };
    pb::Span {
        trace_id: ended.context.trace_id.to_vec().into(),
        span_id: ended.context.span_id.to_vec().into(),
        parent_span_id: ended.parent.map(|id| id.to_vec().into()).unwrap_or_default(),
        name: ended.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(ended.began),
        end_time_unix_nano: nanos(ended.ended),
        attributes: ended.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        status: ended.failure.map(failed),
    }
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(key: &str, value: &Value) -> pb::KeyValue {
    use pb::any_value::Value as Wire;
    let value = match value {
        Value::Text(text) => Wire::StringValue(text.clone()),
        Value::Number(number) => Wire::IntValue(*number),
    };
    pb::KeyValue { key: key.to_owned(), value: Some(pb::AnyValue { value: Some(value) }) }
}
