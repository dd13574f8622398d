//! DELETE of all objects that a selector names.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::delete::{self, Options};
use super::list;
use crate::api::{Incoming, json as respond};
use crate::context::Context;
use crate::forms::{Filter, address};
use crate::object;
use crate::query::Query;
use crate::{Api, Status};

/// Deletes in flight at once.
const WORKERS: usize = 32;

pub(crate) async fn serve(
    api: &Api,
    context: &Context,
    query: &Query,
    incoming: &Incoming,
) -> Result<Response, Status> {
    let options = Options::read(incoming, query)?;
    let filter = Filter::parse(context.kind, query.label_selector.as_deref(), query.field_selector.as_deref())?;
    let page = list::page(api, context, query, &filter).await?;
    let names: Vec<(String, String)> = page
        .entries
        .iter()
        .map(|entry| address(context.kind, &entry.key))
        .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
        .collect();
    for some in names.chunks(WORKERS) {
        let deletes = some.iter().map(|(namespace, name)| {
            let context = Context { namespace: namespace.clone(), ..context.clone() };
            let options = &options;
            async move { delete::run(api, &context, name, options).await }
        });
        for outcome in futures::future::join_all(deletes).await {
            match outcome {
                Ok(_) => {}
                Err(status) if status.reason == "NotFound" => {}
                Err(status) => return Err(status),
            }
        }
    }
    let kind = context.kind;
    let head = json!({"kind": kind.list_kind(), "apiVersion": kind.api_version(), "metadata": {"resourceVersion": page.revision.to_string()}});
    let mut body = head;
    body["items"] = page.entries.iter().filter_map(|entry| object::decode(kind, entry).ok()).collect();
    Ok(respond(StatusCode::OK, body.to_string(), &[]))
}
