//! Serving OpenAPI documents: made when first asked for, then kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use api_schema::openapi;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::Status;
use crate::api::json as respond;

/// Documents made so far, by path.
#[derive(Default)]
pub(crate) struct Documents(Mutex<BTreeMap<String, Bytes>>);

impl Documents {
    fn get(&self, path: &str, make: impl FnOnce() -> Option<Value>) -> Option<Bytes> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = made.get(path) {
            return Some(found.clone());
        }
        let document = Bytes::from(make()?.to_string());
        made.insert(path.to_owned(), document.clone());
        Some(document)
    }
}

/// The answer to a path under `/openapi`; `None` for other paths.
pub(crate) fn serve(documents: &Documents, path: &str, accept: &str, known: Option<&str>) -> Option<Result<Response, Status>> {
    let rest = path.strip_prefix("/openapi/")?;
    let only_protobuf = !accept.is_empty() && accept.split(',').all(|option| option.contains("protobuf"));
    if only_protobuf {
        return Some(Err(Status::not_acceptable()));
    }
    let document = match rest.trim_end_matches('/') {
        "v2" => documents.get("v2", || Some(openapi::v2())),
        "v3" => documents.get("v3", || Some(index())),
        other => {
            let path = other.strip_prefix("v3/")?.to_owned();
            documents.get(&path, || openapi::v3(&path))
        }
    };
    let Some(document) = document else { return Some(Err(Status::no_such_path())) };
    let tag = format!("\"{:016X}\"", fingerprint(&document));
    if known == Some(tag.as_str()) {
        return Some(Ok(respond(StatusCode::NOT_MODIFIED, Bytes::new(), &[])));
    }
    let mut response = respond(StatusCode::OK, document, &[]);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Some(Ok(response))
}

fn index() -> Value {
    let paths: serde_json::Map<String, Value> = openapi::paths()
        .into_iter()
        .map(|path| {
            let hash = env!("CARGO_PKG_VERSION");
            let url = format!("/openapi/v3/{path}?hash={hash}");
            (path, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// FNV-1a: enough to tell one document from the next.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
