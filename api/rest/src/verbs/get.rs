//! GET of one object.

use axum::response::Response;
use http::StatusCode;
use raft_state::Snapshot;
use raft_state::port::{ReadError, ReadLevel};

use crate::api::{json, typed};
use crate::context::Context;
use crate::forms::{self, enveloped};
use crate::negotiate::{Encoding, Wanted};
use crate::query::Query;
use crate::table::Form;
use crate::{Api, Status};

pub(crate) async fn serve(
    api: &Api,
    context: &Context,
    name: &str,
    query: &Query,
    wanted: Wanted,
) -> Result<Response, Status> {
    let snapshot = fresh(api, context, query).await?;
    let entry = snapshot.get(context.key(name).as_bytes()).ok_or_else(|| Status::not_found(context.kind, name))?;
    if wanted == (Wanted { form: Form::Plain, encoding: Encoding::Protobuf }) {
        let body = enveloped(context.kind, entry);
        return Ok(typed(StatusCode::OK, Encoding::Protobuf.media_type(), body, &[]));
    }
    Ok(json(StatusCode::OK, wanted.form.one(context.kind, forms::json(context.kind, entry), api.now_us())?, &[]))
}

/// A snapshot as fresh as the query's `resourceVersion` asks: none for linearizable, 0 for whatever is here.
pub(crate) async fn fresh(api: &Api, context: &Context, query: &Query) -> Result<Snapshot, Status> {
    let exact = query.resource_version_match.as_deref() == Some("Exact");
    let level = match revision(query)? {
        None => ReadLevel::Linearizable,
        Some(0) => return Ok(api.store.snapshot()),
        Some(revision) if exact => ReadLevel::Exact(revision),
        Some(revision) => ReadLevel::AtLeast(revision),
    };
    let requested = match level {
        ReadLevel::AtLeast(revision) | ReadLevel::Exact(revision) => Some(revision),
        ReadLevel::Linearizable => None,
    };
    // Kubernetes gives a revision from the future three seconds to come.
    let deadline = match requested {
        Some(_) => context.deadline.min(std::time::Instant::now() + std::time::Duration::from_secs(3)),
        None => context.deadline,
    };
    let read = tokio::time::timeout_at(deadline.into(), api.store.read(level, deadline)).await;
    match read {
        Ok(Ok(snapshot)) => Ok(snapshot),
        Ok(Err(error)) => Err(Status::reading(&error, requested)),
        Err(_) => {
            let current = api.store.snapshot().revision();
            Err(Status::reading(&ReadError::DeadlineExceeded { current }, requested))
        }
    }
}

/// The query's `resourceVersion` as a number.
pub(crate) fn revision(query: &Query) -> Result<Option<u64>, Status> {
    let Some(text) = &query.resource_version else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        Status::bad_request(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}
