//! `pods/eviction`: a delete that respects disruption budgets (there are none yet, so it always may).

use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::json;

use crate::api::{Incoming, json as respond};
use crate::context::Context;
use crate::query::Query;
use crate::verbs::decode;
use crate::verbs::delete::{self, Options};
use crate::{Api, Status};

pub(super) async fn serve(
    api: &Api,
    context: &Context,
    method: &Method,
    name: &str,
    query: &Query,
    body: &Incoming,
) -> Result<Response, Status> {
    if *method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    let eviction = decode::body(body)?.value;
    if eviction["metadata"]["name"].as_str().unwrap_or_default() != name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let inner = Incoming {
        content_type: String::new(),
        bytes: if eviction["deleteOptions"].is_object() {
            eviction["deleteOptions"].to_string().into()
        } else {
            bytes::Bytes::new()
        },
    };
    delete::run(api, context, name, &Options::read(&inner, query)?).await?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond(StatusCode::CREATED, status.to_string(), &[]))
}
