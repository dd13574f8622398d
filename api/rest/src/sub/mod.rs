//! Subresources, one file each.

mod binding;
mod eviction;
mod finalize;
mod scale;
mod status;
mod token;

pub(crate) use binding::bind;
pub(crate) use finalize::finalize;

use axum::response::Response;
use http::Method;

use crate::api::Incoming;
use crate::context::Context;
use crate::query::Query;
use crate::{Api, Status};

pub(crate) async fn serve(
    api: &Api,
    context: Context,
    method: &Method,
    name: &str,
    subresource: &str,
    query: &Query,
    body: &Incoming,
) -> Result<Response, Status> {
    let known = context.kind.subresources.iter().any(|s| s.name == subresource);
    match subresource {
        _ if !known => Err(Status::no_such_path()),
        "status" | "ephemeralcontainers" => status::serve(api, &context, method, name, subresource, query, body).await,
        "scale" => scale::serve(api, &context, method, name, query, body).await,
        "binding" => binding::serve(api, &context, method, name, body).await,
        "eviction" => eviction::serve(api, &context, method, name, query, body).await,
        "token" => token::serve(api, &context, method, name, query, body).await,
        "finalize" => finalize::serve(api, &context, method, name, body).await,
        // What would need a container behind it.
        other => Err(Status::not_implemented(format!(
            "{other} is not available: this pod runs on a simulated node, without containers"
        ))),
    }
}
