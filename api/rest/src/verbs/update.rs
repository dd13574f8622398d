//! PUT, and the loop that every change of an existing object goes through.

use std::sync::Arc;

use api_kinds::pod::ephemeral;
use api_kinds::{Causes, meta};
use api_schema::apply::{Writer, resets, track_update};
use api_schema::settle;
use axum::response::Response;
use http::StatusCode;
use raft_state::{Action, Entry, Expect};
use serde_json::{Map, Value};

use super::attempts::{self, Stands};
use super::decode;
use super::write::{Failure, Written, metadata, propose, put};
use crate::admission::{self, Operation};
use crate::api::{Incoming, json};
use crate::context::Context;
use crate::forms;
use crate::object::{self, encode};
use crate::table::Form;
use crate::{Api, Status, allocate};

/// How a change of an object is made.
pub(crate) struct Change<'a> {
    /// Empty, or the subresource that is written.
    pub(crate) subresource: &'a str,
    /// The new object from the old one. It may name a `resourceVersion` that the old one must have.
    pub(crate) make: &'a (dyn Fn(&Value) -> Result<Value, Status> + Send + Sync),
    /// Whether `make` has written managedFields itself (apply).
    pub(crate) tracked: bool,
}

pub(crate) async fn serve(
    api: &Api,
    context: &Context,
    name: &str,
    incoming: &Incoming,
    form: Form,
) -> Result<Response, Status> {
    let parsed = decode::object(context.kind, incoming)?;
    let mut object = parsed.value;
    decode::check_kind(context.kind, &object)?;
    let mut warnings = decode::shape(context.kind, &mut object, &parsed.duplicates, context.validation)?;
    let mut written = replace(api, context, name, "", object).await?;
    warnings.append(&mut written.warnings);
    let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(code, form.one(context.kind, written.bytes, api.now_us())?, &warnings))
}

/// Replaces an object, or one of its subresources, by a whole new one.
pub(crate) async fn replace(
    api: &Api,
    context: &Context,
    name: &str,
    subresource: &str,
    object: Value,
) -> Result<Written, Status> {
    let kind = context.kind;
    check_place(context, name, &object)?;
    let pinned = object["metadata"]["resourceVersion"].as_str().is_some_and(|v| !v.is_empty() && v != "0");
    if !pinned && !kind.strategy.unconditional_update {
        let cause = api_kinds::Cause {
            reason: api_kinds::Reason::Invalid,
            field: "metadata.resourceVersion".to_owned(),
            message: "Invalid value: 0: must be specified for an update".to_owned(),
        };
        // Kubernetes names the resource here, not the kind.
        return Err(Status::invalid_virtual(kind.group, kind.plural, name, &vec![cause]));
    }
    let make = |_: &Value| Ok(object.clone());
    match run(api, context, name, Change { subresource, make: &make, tracked: false }).await {
        Err(status) if status.reason == "NotFound" && kind.strategy.create_on_update && subresource.is_empty() => {
            super::create::run(api, context, object).await
        }
        other => other,
    }
}

/// Changes an object. A change that names no revision is made again when the object has moved on meanwhile.
pub(crate) async fn run(api: &Api, context: &Context, name: &str, change: Change<'_>) -> Result<Written, Status> {
    attempts::run(api, context, name, |entry| once(api, context, name, entry, &change)).await
}

async fn once(
    api: &Api,
    context: &Context,
    name: &str,
    entry: Arc<Entry>,
    change: &Change<'_>,
) -> Result<(Written, Stands), Failure> {
    let kind = context.kind;
    let old = object::decode(kind, &entry).map_err(Failure::Judged)?;
    let mut new = (change.make)(&old).map_err(Failure::Judged)?;
    check_preconditions(context, name, &old, &new).map_err(Failure::Judged)?;
    carry_metadata(&old, &mut new);
    let strategy = &kind.strategy;
    (strategy.default)(&mut new);
    let warnings = admission::admit(api, context, Operation::Update, change.subresource, &mut new, Some(&old))
        .await
        .map_err(Failure::Judged)?;
    if change.subresource != "status" {
        (strategy.default)(&mut new);
    }
    match change.subresource {
        "" | "scale" => (strategy.prepare_update)(&mut new, &old),
        "status" => (strategy.prepare_status)(&mut new, &old),
        "ephemeralcontainers" => ephemeral::prepare(&mut new, &old),
        _ => {}
    }
    let mut causes: Causes = meta::validate(kind, &new);
    causes.extend(meta::validate_update(&new, &old));
    match change.subresource {
        _ if context.trusted => {}
        "" | "scale" => {
            causes.extend((strategy.validate)(&new));
            causes.extend((strategy.validate_update)(&new, &old));
        }
        "status" => causes.extend((strategy.validate_status)(&new, &old)),
        "ephemeralcontainers" => {
            causes.extend((strategy.validate)(&new));
            causes.extend(ephemeral::validate_update(&new, &old));
        }
        _ => {}
    }
    if !causes.is_empty() {
        return Err(Failure::Judged(Status::invalid(kind, name, &causes)));
    }
    let claims = match change.subresource {
        "" => allocate::claim(api, context, &mut new, Some(&old)).await.map_err(Failure::Judged)?,
        _ => allocate::Claims::default(),
    };
    let schema = decode::schema(kind).map_err(Failure::Judged)?;
    if !change.tracked && kind.kind != "Event" && kind.kind != "Lease" {
        let api_version = kind.api_version();
        let writer = Writer {
            manager: &context.manager,
            api_version: &api_version,
            subresource: change.subresource,
            now_us: api.now_us(),
            reset: resets(kind.kind, change.subresource),
        };
        track_update(schema, Some(&old), &mut new, &writer);
    }
    settle(schema, &mut new);
    let encoded = encode(kind, &new).map_err(Failure::Judged)?;
    // The order of fields is no change; most writes that change nothing are the same bytes.
    let unchanged = entry.same_as(&encoded.json) || same_but_version(&new, &old);
    if unchanged || context.dry_run {
        claims.release(api, context).await;
        let bytes = if unchanged { forms::json(kind, &entry) } else { encoded.at(entry.mod_revision) };
        return Ok((Written { bytes, revision: entry.mod_revision, created: false, warnings }, Stands::AsSeen));
    }
    let expect = Expect::At(entry.mod_revision);
    let outcome = if is_finished(&new) {
        propose(api, context, context.key(name), expect, Action::Delete).await
    } else {
        put(api, context, name, expect, &encoded).await
    };
    match outcome {
        Ok(revision) => {
            allocate::release_unused(api, context, Some(&old), Some(&new)).await;
            Ok((Written { bytes: encoded.at(revision), revision, created: false, warnings }, Stands::InTheLog))
        }
        Err(failure) => {
            if matches!(failure, Failure::Refused(_)) {
                claims.release(api, context).await;
            }
            Err(failure)
        }
    }
}

/// Whether two objects differ in nothing but their versions. What the kind says anyway need not be there.
fn same_but_version(new: &Value, old: &Value) -> bool {
    let same = |new: &Value, old: &Value, but: &[&str]| {
        let (Value::Object(new), Value::Object(old)) = (new, old) else { return false };
        let counted = |fields: &Map<String, Value>| fields.keys().filter(|name| !but.contains(&name.as_str())).count();
        let mut fields = new.iter().filter(|(name, _)| !but.contains(&name.as_str()));
        counted(new) == counted(old) && fields.all(|(name, value)| old.get(name) == Some(value))
    };
    same(new, old, &["kind", "apiVersion", "metadata"])
        && same(&new["metadata"], &old["metadata"], &["resourceVersion"])
}

/// An object that was to be deleted and has no finalizer left is gone with this write.
fn is_finished(object: &Value) -> bool {
    let metadata = &object["metadata"];
    metadata["deletionTimestamp"].is_string()
        && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
        && object["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty)
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

fn check_preconditions(context: &Context, name: &str, old: &Value, new: &Value) -> Result<(), Status> {
    let (new, old) = (&new["metadata"], &old["metadata"]);
    if let Some(uid) = new["uid"].as_str().filter(|uid| !uid.is_empty())
        && old["uid"] != uid
    {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            old["uid"].as_str().unwrap_or_default()
        );
        return Err(Status::conflict(context.kind, name, &why));
    }
    match new["resourceVersion"].as_str() {
        Some(version) if !version.is_empty() && version != "0" && old["resourceVersion"] != version => {
            Err(Status::modified(context.kind, name))
        }
        _ => Ok(()),
    }
}

/// That an object names the place of its path: an object that says otherwise was meant for another.
pub(crate) fn check_place(context: &Context, name: &str, object: &Value) -> Result<(), Status> {
    let given = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    match given("name") {
        "" => {
            return Err(Status::bad_request(format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            )));
        }
        other if other != name => {
            return Err(Status::bad_request(format!(
                "the name of the object ({other}) does not match the name on the URL ({name})"
            )));
        }
        _ => {}
    }
    let namespace = given("namespace");
    if context.kind.namespaced() && !namespace.is_empty() && namespace != context.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// What the server writes in metadata stays as it was.
fn carry_metadata(old: &Value, new: &mut Value) {
    let metadata = metadata(new);
    metadata.shift_remove("selfLink");
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "generateName",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        match old["metadata"].get(field) {
            Some(value) => drop(metadata.insert(field.to_owned(), value.clone())),
            None => drop(metadata.shift_remove(field)),
        }
    }
}
