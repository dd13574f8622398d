//! Serving OpenAPI documents.

use api_schema::openapi;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::Status;
use crate::api::typed;

/// The Swagger document in protobuf, in the spelling that is a media type; clients ask for another, with an `@`.
const SWAGGER_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Something asked for by its hash is never asked for again.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The answer to a path under `/openapi`; `None` for other paths.
pub(crate) fn serve(path: &str, query: &str, accept: &str, known: Option<&str>) -> Option<Result<Response, Status>> {
    let rest = path.strip_prefix("/openapi/")?.trim_end_matches('/');
    let Some(media_type) = media_type(rest, accept) else { return Some(Err(Status::not_acceptable())) };
    let document = match rest {
        "v3" => return Some(Ok(typed(StatusCode::OK, media_type, Bytes::from_static(openapi::v3_index()), &[]))),
        "v2" if media_type == SWAGGER_PROTOBUF => Some(openapi::v2_protobuf()),
        "v2" => Some(openapi::v2()),
        other => openapi::v3(other.strip_prefix("v3/")?),
    };
    let Some(document) = document else { return Some(Err(Status::no_such_path())) };
    let tag = format!("\"{}\"", document.hash);
    let mut response = if known == Some(tag.as_str()) {
        typed(StatusCode::NOT_MODIFIED, media_type, Bytes::new(), &[])
    } else {
        typed(StatusCode::OK, media_type, Bytes::from_static(&document.bytes), &[])
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, value);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if query.split('&').any(|pair| pair.strip_prefix("hash=") == Some(&*document.hash)) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    }
    Some(Ok(response))
}

/// What a client accepts of what there is of a document: JSON, and for the Swagger document protobuf too.
fn media_type(document: &str, accept: &str) -> Option<&'static str> {
    if accept.trim().is_empty() {
        return Some("application/json");
    }
    accept.split(',').find_map(|clause| match clause.split(';').next().unwrap_or_default().trim() {
        "application/json" | "application/*" | "*/*" => Some("application/json"),
        SWAGGER_PROTOBUF | "application/com.github.proto-openapi.spec.v2@v1.0+protobuf" if document == "v2" => {
            Some(SWAGGER_PROTOBUF)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_gets_the_swagger_document_in_protobuf_and_others_json() {
        let check = |document: &str, accept: &str, expected: Option<&str>| {
            assert_eq!(media_type(document, accept), expected, "{document} {accept}");
        };
        let old = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        check("v2", "", Some("application/json"));
        check("v2", old, Some(SWAGGER_PROTOBUF));
        check("v2", SWAGGER_PROTOBUF, Some(SWAGGER_PROTOBUF));
        check("v2", "application/json, */*", Some("application/json"));
        check("v3/api/v1", "application/json;q=0.9", Some("application/json"));
        check("v3/api/v1", old, None);
        check("v2", "text/html", None);
    }
}
