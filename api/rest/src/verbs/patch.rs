//! PATCH: JSON patch, merge patch, strategic merge patch, server-side apply.

use std::borrow::Cow;

use api_kinds::{Cause, Reason};
use api_schema::apply::{ApplyError, Writer, apply, resets, typed};
use api_schema::go::text_of;
use api_schema::patch::{PatchError, json as json_patch, merge, strategic};
use api_schema::{DecodeError, FieldValidation, Schema, check, parse};
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

/// What patches may be written in.
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

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
        return Err(invalid_option(Reason::Forbidden, "force", "Forbidden: may not be specified for non-apply patch"));
    }
    let written = if is_apply {
        apply_patch(api, context, name, subresource, query, incoming).await?
    } else {
        let parsed =
            parse::json(&incoming.bytes).map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
        let patch = match incoming.content_type.as_str() {
            "application/json-patch+json" => Patch::Json(parsed.value),
            "application/merge-patch+json" => Patch::Merge(parsed.value),
            "application/strategic-merge-patch+json" => Patch::Strategic(parsed.value),
            _ => return Err(Status::unsupported_media_type(&PATCHES)),
        };
        run(api, context, name, subresource, &patch).await?
    };
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(code, form.one(context.kind, written.bytes, api.now_us())?, &written.warnings))
}

fn invalid_option(reason: Reason, field: &str, message: &str) -> Status {
    Status::invalid_options("PatchOptions", &[Cause { reason, field: field.to_owned(), message: message.to_owned() }])
}

/// Applies a patch to an object or one of its subresources.
pub(crate) async fn run(
    api: &Api,
    context: &Context,
    name: &str,
    subresource: &str,
    patch: &Patch,
) -> Result<Written, Status> {
    let schema = decode::schema(context.kind)?;
    let validation = context.validation;
    let dropped = parking_lot::Mutex::new(Vec::new());
    let make = |old: &Value| {
        let mut new = old.clone();
        patch_value(schema, &mut new, patch)?;
        update::check_place(context, name, &new)?;
        // A patch names a revision only when it says so itself.
        let named = match patch {
            Patch::Merge(p) | Patch::Strategic(p) => p["metadata"].get("resourceVersion").is_some(),
            Patch::Json(p) => {
                p.as_array().is_some_and(|ops| ops.iter().any(|o| o["path"] == "/metadata/resourceVersion"))
            }
        };
        if !named && let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.shift_remove("resourceVersion");
        }
        *dropped.lock() =
            check(schema, &mut new, &[], validation).map_err(|error| as_invalid(schema, old, patch, &error))?;
        Ok(new)
    };
    let mut written = update::run(api, context, name, Change { subresource, make: &make, tracked: false }).await?;
    written.warnings.extend(dropped.into_inner());
    Ok(written)
}

/// A patched object of the wrong shape is the patch's fault: 422, with what was wrong shown as Kubernetes shows it.
fn as_invalid(schema: Schema<'static>, old: &Value, patch: &Patch, error: &DecodeError) -> Status {
    let shown = match patch {
        Patch::Strategic(patch) => text_of(patch),
        Patch::Json(_) | Patch::Merge(_) => {
            let mut patched = old.clone();
            match patch_value(schema, &mut patched, patch) {
                Ok(()) => patched.to_string(),
                Err(status) => return status,
            }
        }
    };
    misshapen(&shown, error)
}

/// 422 for a patch that makes something of the wrong shape.
pub(crate) fn misshapen(shown: &str, error: &DecodeError) -> Status {
    let finding = format!("Invalid value: {shown:?}: {error}");
    Status::unprocessable(format!(" \"\" is invalid: patch: {finding}")).cause("FieldValueInvalid", &finding, "patch")
}

fn patch_value(schema: Schema<'static>, target: &mut Value, patch: &Patch) -> Result<(), Status> {
    let refused = |error: PatchError| match error {
        PatchError::Malformed(message) => Status::bad_request(message),
        PatchError::Failed(message) => Status::internal(message),
        PatchError::TooLarge { .. } => Status::new(413, "RequestEntityTooLarge", error.to_string()),
        PatchError::DoesNotApply(message) => {
            tracing::debug!(message, "a patch does not apply");
            Status::unprocessable("the server rejected our request due to an error in our request")
        }
    };
    match patch {
        Patch::Json(patch) => json_patch::apply(target, patch).map_err(refused),
        Patch::Merge(patch) => merge::apply(target, patch).map_err(refused),
        Patch::Strategic(patch) => strategic::apply(schema, target, patch).map_err(refused),
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
        let why = "Required value: is required for apply patch";
        return Err(invalid_option(Reason::Required, "fieldManager", why));
    }
    let schema = decode::schema(context.kind)?;
    let parsed = decode::body(incoming)?;
    let config = parsed.value;
    let (api_version, kind) = (config["apiVersion"].as_str(), config["kind"].as_str());
    if api_version.is_none_or(str::is_empty) || kind.is_none_or(str::is_empty) {
        let gvk = api_schema::apply::gvk(&config);
        return Err(Status::new(500, "", format!("invalid object type: {gvk}")));
    }
    decode::check_kind(context.kind, &config)?;
    let warnings = duplicates(context, &parsed.duplicates)?;
    let config = typed(schema, &config).map_err(|error| refused(&config, &error))?;
    let given = config["metadata"]["name"].as_str().unwrap_or_default();
    if given != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let api_version = context.kind.api_version();
    let writer = Writer {
        manager: &context.manager,
        api_version: &api_version,
        subresource,
        now_us: api.now_us(),
        reset: resets(context.kind.kind, subresource),
    };
    let version = config["metadata"].get("resourceVersion").cloned();
    let wanted = only(&config, subresource);
    let make = |old: &Value| {
        let mut new =
            apply(schema, Some(old), &wanted, &writer, query.force).map_err(|error| refused(&wanted, &error))?;
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.shift_remove("resourceVersion");
            if let Some(version) = &version {
                metadata.insert("resourceVersion".to_owned(), version.clone());
            }
        }
        // Only now: an empty value is owned, although it is not kept.
        decode::shape(context.kind, &mut new, &[], FieldValidation::Ignore)?;
        Ok(new)
    };
    let mut written = match update::run(api, context, name, Change { subresource, make: &make, tracked: true }).await {
        Err(status) if status.reason == "NotFound" && subresource.is_empty() && status.message.contains(name) => {
            if version.is_some() {
                return Err(Status::modified(context.kind, name));
            }
            create::run_applied(api, context, wanted.into_owned()).await?
        }
        other => other?,
    };
    written.warnings.extend(warnings);
    Ok(written)
}

/// Fields that a configuration has twice: refused or reported, as asked.
fn duplicates(context: &Context, paths: &[String]) -> Result<Vec<String>, Status> {
    let findings: Vec<String> = paths.iter().map(|path| format!("duplicate field {path:?}")).collect();
    match context.validation {
        FieldValidation::Strict if !findings.is_empty() => {
            Err(Status::bad_request(format!("error strict decoding YAML: {}", findings.join(", "))))
        }
        FieldValidation::Ignore => Ok(Vec::new()),
        _ => Ok(findings),
    }
}

fn refused(config: &Value, error: &ApplyError) -> Status {
    match error {
        ApplyError::Conflicts(conflicts) => Status::apply_conflicts(conflicts, error.to_string()),
        ApplyError::ManagedFieldsPresent => Status::bad_request(error.to_string()),
        ApplyError::Untyped(_) | ApplyError::Inconvertible(_) => Status::new(500, "", error.of_object(config)),
    }
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
