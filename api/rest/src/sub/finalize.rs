//! `namespaces/finalize`: the finalizers of a namespace's spec; without any, a namespace that is going is gone.

use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::api::{Incoming, json};
use crate::context::Context;
use crate::verbs::decode;
use crate::verbs::update::{self, Change};
use crate::verbs::write::Written;
use crate::{Api, Status};

pub(super) async fn serve(
    api: &Api,
    context: &Context,
    method: &Method,
    name: &str,
    body: &Incoming,
) -> Result<Response, Status> {
    if *method != Method::PUT {
        return Err(Status::method_not_allowed());
    }
    let sent = decode::body(body)?.value;
    let written = finalize(api, context, name, sent["spec"]["finalizers"].clone()).await?;
    Ok(json(StatusCode::OK, written.bytes, &[]))
}

/// Sets the finalizers of a namespace's spec.
pub(crate) async fn finalize(api: &Api, context: &Context, name: &str, finalizers: Value) -> Result<Written, Status> {
    let make = |old: &Value| {
        let mut new = old.clone();
        new["spec"]["finalizers"] = if finalizers.is_array() { finalizers.clone() } else { Value::Array(Vec::new()) };
        Ok(new)
    };
    update::run(api, context, name, Change { subresource: "finalize", make: &make, tracked: false }).await
}
