//! `/scale`: the number of replicas as autoscaling/v1 Scale.

use api_kinds::scale;
use api_schema::FieldValidation;
use api_schema::patch::merge;
use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::api::{Incoming, json};
use crate::context::Context;
use crate::query::Query;
use crate::verbs::update::{self, Change};
use crate::verbs::{decode, get, patch};
use crate::{Api, Status};

pub(super) async fn serve(
    api: &Api,
    context: &Context,
    method: &Method,
    name: &str,
    query: &Query,
    body: &Incoming,
) -> Result<Response, Status> {
    if *method == Method::GET {
        let snapshot = get::fresh(api, context, query).await?;
        let entry = snapshot.get(context.key(name).as_bytes()).ok_or_else(|| Status::not_found(context.kind, name))?;
        let object = crate::object::decode(context.kind, entry)?;
        return Ok(json(StatusCode::OK, scale::of(&object).to_string(), &[]));
    }
    let is_patch = *method == Method::PATCH;
    if !is_patch && *method != Method::PUT {
        return Err(Status::method_not_allowed());
    }
    let sent =
        if is_patch { api_schema::parse::json(&body.bytes).map_err(Status::bad_request)? } else { decode::body(body)? };
    let sent = sent.value;
    let is_json_patch = body.content_type == "application/json-patch+json";
    let make = |old: &Value| {
        let mut wanted = scale::of(old);
        if is_json_patch {
            api_schema::patch::json::apply(&mut wanted, &sent)
                .map_err(|error| Status::unprocessable(error.to_string()))?;
        } else if is_patch {
            merge::apply(&mut wanted, &sent).map_err(|error| Status::bad_request(error.to_string()))?;
        } else {
            wanted = sent.clone();
        }
        let schema = decode::schema(&scale::SCALE)?;
        let shown = wanted.to_string();
        api_schema::check(schema, &mut wanted, &[], FieldValidation::Ignore).map_err(|error| match is_patch {
            true => patch::misshapen(&shown, &error),
            false => Status::bad_request(error.of_kind(scale::SCALE.version, scale::SCALE.kind)),
        })?;
        update::check_place(context, name, &wanted)?;
        let causes = (scale::SCALE.strategy.validate)(&wanted);
        if !causes.is_empty() {
            return Err(Status::invalid(&scale::SCALE, name, &causes));
        }
        let mut new = old.clone();
        scale::set(&mut new, &wanted).map_err(Status::bad_request)?;
        // A Scale names a revision only when its sender did.
        match sent["metadata"]["resourceVersion"].as_str().filter(|v| !v.is_empty()) {
            Some(version) => new["metadata"]["resourceVersion"] = version.into(),
            None => {
                if let Some(metadata) = new["metadata"].as_object_mut() {
                    metadata.shift_remove("resourceVersion");
                }
            }
        }
        Ok(new)
    };
    let written = update::run(api, context, name, Change { subresource: "scale", make: &make, tracked: false }).await?;
    let object: Value = serde_json::from_slice(&written.bytes).map_err(Status::internal)?;
    Ok(json(StatusCode::OK, scale::of(&object).to_string(), &[]))
}
