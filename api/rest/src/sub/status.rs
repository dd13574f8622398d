//! `/status`, and `/ephemeralcontainers` of pods: the whole object is sent, one part of it is written.

use axum::response::Response;
use http::{Method, StatusCode};

use crate::api::{Incoming, json};
use crate::context::Context;
use crate::negotiate::{Encoding, Wanted};
use crate::query::Query;
use crate::table::Form;
use crate::verbs::{decode, get, patch, update};
use crate::{Api, Status};

pub(super) async fn serve(
    api: &Api,
    context: &Context,
    method: &Method,
    name: &str,
    subresource: &str,
    query: &Query,
    body: &Incoming,
) -> Result<Response, Status> {
    match *method {
        Method::GET => {
            get::serve(api, context, name, query, Wanted { form: Form::Plain, encoding: Encoding::Json }).await
        }
        Method::PATCH => patch::serve(api, context, name, subresource, query, body, Form::Plain).await,
        Method::PUT => {
            let parsed = decode::object(context.kind, body)?;
            let mut object = parsed.value;
            decode::check_kind(context.kind, &object)?;
            let warnings = decode::shape(context.kind, &mut object, &parsed.duplicates, context.validation)?;
            let written = update::replace(api, context, name, subresource, object).await?;
            Ok(json(StatusCode::OK, written.bytes, &warnings))
        }
        _ => Err(Status::method_not_allowed()),
    }
}
