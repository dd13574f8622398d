//! PATCH: JSON patch, merge patch, strategic merge patch, server-side apply.

use std::borrow::Cow;

use api_schema::definitions::{self, Definition};
use api_schema::managed::{Request, apply};
use api_schema::patch::{PatchError, json as json_patch, merge, strategic};
use api_schema::{FieldValidation, parse};
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use super::update::{self, Change};
use super::write::Written;
use super::{create, decode};
use crate::api::{Incoming, json};
use crate::context::Context;
use crate::query::Query;
use crate::table::Form;
use crate::{Api, Status};

/// A patch, by its media type.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
}

pub(crate) async fn serve(
    api: &Api,
    context: &Context,
    name: &str,
    subresource: &str,
    query: &Query,
    incoming: &Incoming,
    form: Form,
) -> Result<Response, Status> {
    let is_apply = incoming.content_type.starts_with("application/apply-patch");
    if query.force && !is_apply {
        return Err(Status::unprocessable("PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"));
    }
    let written = if is_apply {
        apply_patch(api, context, name, subresource, query, incoming).await?
    } else {
        let parsed = parse::json(&incoming.bytes).map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
        let patch = match incoming.content_type.as_str() {
            "application/json-patch+json" => Patch::Json(parsed.value),
            "application/merge-patch+json" => Patch::Merge(parsed.value),
            "application/strategic-merge-patch+json" => Patch::Strategic(parsed.value),
            other => return Err(Status::unsupported_media_type(other)),
        };
        run(api, context, name, subresource, &patch).await?
    };
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(code, form.one(context.kind, written.bytes, api.now_us())?, &written.warnings))
}

fn definition(context: &Context) -> Result<&'static Definition, Status> {
    definitions::by_name(context.kind.schema).ok_or_else(|| Status::internal("no schema"))
}

/// Applies a patch to an object or one of its subresources.
pub(crate) async fn run(api: &Api, context: &Context, name: &str, subresource: &str, patch: &Patch) -> Result<Written, Status> {
    let definition = definition(context)?;
    let validation = context.validation;
    let dropped = parking_lot::Mutex::new(Vec::new());
    let make = |old: &Value| {
        let mut new = old.clone();
        patch_value(definition, &mut new, patch)?;
        // A patch names a revision only when it says so itself.
        let named = match patch {
            Patch::Merge(p) | Patch::Strategic(p) => p["metadata"].get("resourceVersion").is_some(),
            Patch::Json(p) => p.as_array().is_some_and(|ops| ops.iter().any(|o| o["path"] == "/metadata/resourceVersion")),
        };
        if !named && let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.shift_remove("resourceVersion");
        }
        *dropped.lock() = decode::shape(context.kind, &mut new, &[], validation).map_err(|status| as_invalid(status, validation))?;
        Ok(new)
    };
    let mut written = update::run(api, context, name, Change { subresource, make: &make, tracked: false }).await?;
    written.warnings.extend(dropped.into_inner());
    Ok(written)
}

/// A patched object of the wrong shape is the patch's fault: 422, unless it is about unknown fields.
fn as_invalid(status: Status, validation: FieldValidation) -> Status {
    if validation == FieldValidation::Strict && status.message.contains("strict decoding error") {
        return status;
    }
    Status::unprocessable(status.message)
}

fn patch_value(definition: &'static Definition, target: &mut Value, patch: &Patch) -> Result<(), Status> {
    let refused = |error: PatchError| match error {
        PatchError::Malformed(message) => Status::bad_request(message),
        PatchError::DoesNotApply(message) => {
            Status::unprocessable(format!("the server rejected our request due to an error in our request: {message}"))
        }
    };
    match patch {
        Patch::Json(patch) => json_patch::apply(target, patch).map_err(refused),
        Patch::Merge(patch) => {
            merge::merge(target, patch);
            Ok(())
        }
        Patch::Strategic(patch) => strategic::apply(definition, target, patch).map_err(refused),
    }
}

async fn apply_patch(
    api: &Api,
    context: &Context,
    name: &str,
    subresource: &str,
    query: &Query,
    incoming: &Incoming,
) -> Result<Written, Status> {
    if query.field_manager.is_none() {
        return Err(Status::unprocessable("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"));
    }
    let definition = definition(context)?;
    let parsed = decode::body(incoming)?;
    let mut config = parsed.value;
    decode::check_kind(context.kind, &config)?;
    if config["metadata"]["managedFields"].as_array().is_some_and(|all| !all.is_empty()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let warnings = decode::shape(context.kind, &mut config, &parsed.duplicates, context.validation)?;
    let given = config["metadata"]["name"].as_str().unwrap_or_default();
    if given != name {
        return Err(Status::bad_request(format!("the name of the object ({given}) does not match the name on the URL ({name})")));
    }
    let (api_version, time) = (context.kind.api_version(), api_kinds::time::rfc3339(api.now_us()));
    let request = Request { manager: &context.manager, api_version: &api_version, time: &time, subresource, force: query.force };
    let version = config["metadata"].get("resourceVersion").cloned();
    let wanted = only(&config, subresource);
    let make = |old: &Value| {
        let mut new = apply(definition, Some(old), &wanted, request).map_err(|conflicts| Status::apply_conflicts(&conflicts))?;
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.shift_remove("resourceVersion");
            if let Some(version) = &version {
                metadata.insert("resourceVersion".to_owned(), version.clone());
            }
        }
        Ok(new)
    };
    let mut written = match update::run(api, context, name, Change { subresource, make: &make, tracked: true }).await {
        Err(status) if status.reason == "NotFound" && subresource.is_empty() && status.message.contains(name) => {
            if version.is_some() {
                return Err(status);
            }
            create::run_applied(api, context, wanted.into_owned()).await?
        }
        other => other?,
    };
    written.warnings.extend(warnings);
    Ok(written)
}

/// What of a configuration counts: the main resource has no say about status, the status subresource about nothing else.
fn only<'a>(config: &'a Value, subresource: &str) -> Cow<'a, Value> {
    let mut config = config.clone();
    if let Value::Object(map) = &mut config {
        match subresource {
            "status" => map.retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status")),
            _ => drop(map.shift_remove("status")),
        }
    }
    Cow::Owned(config)
}
