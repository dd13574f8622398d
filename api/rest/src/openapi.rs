//! Serving OpenAPI documents.

use api_schema::openapi;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::Status;
use crate::api::json as respond;

/// The answer to a path under `/openapi`; `None` for other paths.
pub(crate) fn serve(path: &str, accept: &str, known: Option<&str>) -> Option<Result<Response, Status>> {
    let rest = path.strip_prefix("/openapi/")?;
    let only_protobuf = !accept.is_empty() && accept.split(',').all(|option| option.contains("protobuf"));
    if only_protobuf {
        return Some(Err(Status::not_acceptable()));
    }
    let document = match rest.trim_end_matches('/') {
        "v3" => return Some(Ok(respond(StatusCode::OK, Bytes::from_static(openapi::v3_index()), &[]))),
        "v2" => Some(openapi::v2()),
        other => openapi::v3(other.strip_prefix("v3/")?),
    };
    let Some(document) = document else { return Some(Err(Status::no_such_path())) };
    let tag = format!("\"{}\"", document.hash);
    if known == Some(tag.as_str()) {
        return Some(Ok(respond(StatusCode::NOT_MODIFIED, Bytes::new(), &[])));
    }
    let mut response = respond(StatusCode::OK, Bytes::from_static(&document.json), &[]);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Some(Ok(response))
}
