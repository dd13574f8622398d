//! POST: a new object.

use api_kinds::{Causes, meta};
use api_schema::apply::{Writer, apply, managers_of_new, resets};
use api_schema::{FieldValidation, settle};
use axum::response::Response;
use http::StatusCode;
use raft_state::{Expect, Refusal};
use serde_json::Value;

use super::decode;
use super::write::{Failure, Written, metadata, put};
use crate::admission::{self, Operation};
use crate::api::{Incoming, json};
use crate::context::Context;
use crate::object::encode_with;
use crate::table::Form;
use crate::{Api, Status, allocate};

/// How often a generated name that is taken is drawn anew.
const NAMES_MAX: usize = 8;
/// A generated name keeps room for its suffix.
const GENERATE_BASE_MAX: usize = 248;

pub(crate) async fn serve(api: &Api, context: &Context, incoming: &Incoming, form: Form) -> Result<Response, Status> {
    let parsed = decode::object(context.kind, incoming)?;
    let mut object = parsed.value;
    decode::check_kind(context.kind, &object)?;
    let mut warnings = decode::shape(context.kind, &mut object, &parsed.duplicates, context.validation)?;
    let mut written = run(api, context, object).await?;
    warnings.append(&mut written.warnings);
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(code, form.one(context.kind, written.bytes, api.now_us())?, &warnings))
}

/// Creates an object whose shape was checked.
pub(crate) async fn run(api: &Api, context: &Context, object: Value) -> Result<Written, Status> {
    create(api, context, object, Ownership::Update).await
}

/// Creates an object that was applied (KEP-555): what the configuration names belongs to its manager's Apply.
pub(crate) async fn run_applied(api: &Api, context: &Context, object: Value) -> Result<Written, Status> {
    create(api, context, object, Ownership::Apply).await
}

/// Whose the fields of a new object are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ownership {
    Update,
    Apply,
}

async fn create(api: &Api, context: &Context, mut object: Value, ownership: Ownership) -> Result<Written, Status> {
    let kind = context.kind;
    let mut context = context.clone();
    place(&mut context, &mut object)?;
    let context = &context;
    let generated = {
        let metadata = metadata(&mut object);
        let base = metadata.get("generateName").and_then(Value::as_str).unwrap_or_default();
        let named = metadata.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        (!named && !base.is_empty()).then(|| base.chars().take(GENERATE_BASE_MAX).collect::<String>())
    };
    let Some(base) = generated else {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        return once(api, context, &name, object, ownership).await.map_err(|failure| failure.status(kind, &name));
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let name = format!("{base}{}", api.config.suffix());
        metadata(&mut object).insert("name".to_owned(), name.as_str().into());
        match once(api, context, &name, object.clone(), ownership).await {
            Err(Failure::Refused(Refusal::Exists { .. })) if attempt < NAMES_MAX => {}
            Err(failure) => return Err(failure.status(kind, &name)),
            Ok(written) => return Ok(written),
        }
    }
}

/// Says whose the fields of a new object are: in it, if it was applied, else as text to be spliced in.
fn own(context: &Context, object: &mut Value, applied: Option<&Value>, now_us: i64) -> Result<Option<Vec<u8>>, Status> {
    let kind = context.kind;
    if matches!(kind.kind, "Event" | "Lease") {
        return Ok(None);
    }
    let (schema, api_version) = (decode::schema(kind)?, kind.api_version());
    let reset = resets(kind.kind, "");
    let writer = Writer { manager: &context.manager, api_version: &api_version, subresource: "", now_us, reset };
    let Some(config) = applied else { return Ok(managers_of_new(schema, object, &writer)) };
    // Without a live object there is nobody to conflict with.
    if let Ok(mut owned) = apply(schema, None, config, &writer, false)
        && let Some(fields) = owned["metadata"].get_mut("managedFields")
    {
        metadata(object).insert("managedFields".to_owned(), fields.take());
    }
    Ok(None)
}

/// The namespace of the path and that of the body must agree.
fn place(context: &mut Context, object: &mut Value) -> Result<(), Status> {
    if !context.kind.namespaced() {
        return Ok(());
    }
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    if context.namespace.is_empty() {
        context.namespace = if given.is_empty() { "default".to_owned() } else { given };
    } else if !given.is_empty() && given != context.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata(object).insert("namespace".to_owned(), context.namespace.clone().into());
    Ok(())
}

async fn once(
    api: &Api,
    context: &Context,
    name: &str,
    mut object: Value,
    ownership: Ownership,
) -> Result<Written, Failure> {
    let kind = context.kind;
    let now_us = api.now_us();
    let applied = (ownership == Ownership::Apply).then(|| object.clone());
    if applied.is_some() {
        decode::shape(kind, &mut object, &[], FieldValidation::Ignore).map_err(Failure::Status)?;
    }
    {
        let metadata = metadata(&mut object);
        for field in [
            "resourceVersion",
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
            "generation",
        ] {
            metadata.shift_remove(field);
        }
        metadata.insert("uid".to_owned(), api.config.uid().into());
        metadata.insert("creationTimestamp".to_owned(), api_kinds::time::rfc3339(now_us).into());
    }
    (kind.strategy.default)(&mut object);
    // Before anybody else has a hand in it: what admission and allocation add is nobody's.
    let managers = own(context, &mut object, applied.as_ref(), now_us).map_err(Failure::Status)?;
    let operation = Operation::Create;
    let warnings = admission::admit(api, context, operation, "", &mut object, None).await.map_err(Failure::Status)?;
    (kind.strategy.default)(&mut object);
    (kind.strategy.prepare_create)(&mut object);
    let mut causes: Causes = meta::validate(kind, &object);
    if !context.trusted {
        causes.extend((kind.strategy.validate)(&object));
        causes.extend((kind.strategy.validate_create)(&object));
    }
    if !causes.is_empty() {
        return Err(Failure::Status(Status::invalid(kind, name, &causes)));
    }
    let claims = allocate::claim(api, context, &mut object, None).await.map_err(Failure::Status)?;
    settle(decode::schema(kind).map_err(Failure::Status)?, &mut object);
    let encoded = encode_with(kind, &object, managers.as_deref()).map_err(Failure::Status)?;
    if context.dry_run {
        claims.release(api, context).await;
        if api.store.snapshot().get(context.key(name).as_bytes()).is_some() {
            return Err(Failure::Status(Status::already_exists(kind, name)));
        }
        return Ok(Written { bytes: encoded.unrevised(), revision: 0, created: true, warnings });
    }
    match put(api, context, name, Expect::Absent, &encoded).await {
        Ok(revision) => Ok(Written { bytes: encoded.at(revision), revision, created: true, warnings }),
        Err(failure) => {
            if matches!(failure, Failure::Refused(_)) {
                claims.release(api, context).await;
            }
            Err(failure)
        }
    }
}
