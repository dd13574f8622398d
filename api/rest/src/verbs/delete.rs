//! DELETE of one object: at once, or marked and left to finalizers, nodes and the garbage collector.

use std::sync::Arc;

use api_kinds::time::rfc3339;
use api_kinds::{Cause, Reason};
use axum::response::Response;
use http::StatusCode;
use raft_state::{Action, Entry, Expect};
use serde_json::{Value, json};

use super::attempts::{self, Stands};
use super::decode;
use super::write::{Failure, metadata, propose, put};
use super::write_options::unknown_dry_run;
use crate::admission::{self, Operation};
use crate::api::{Incoming, json as respond};
use crate::context::Context;
use crate::object::{self, encode};
use crate::query::Query;
use crate::{Api, Status, allocate};

/// `metav1.DeleteOptions`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) grace_period_s: Option<i64>,
    pub(crate) propagation: Option<String>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

impl Options {
    /// Reads the body, and the query where the body says nothing.
    pub(crate) fn read(incoming: &Incoming, query: &Query) -> Result<Self, Status> {
        let body = if incoming.bytes.is_empty() { Value::Null } else { decode::delete_options(incoming)? };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let orphan = body["orphanDependents"].as_bool().map(|o| if o { "Orphan" } else { "Background" }.to_owned());
        let dry_run: Vec<String> = body["dryRun"].as_array().into_iter().flatten().filter_map(text).collect();
        let options = Self {
            grace_period_s: body["gracePeriodSeconds"].as_i64().or(query.grace_period_s),
            propagation: text(&body["propagationPolicy"]).or(orphan).or_else(|| query.propagation_policy.clone()),
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            dry_run: !dry_run.is_empty(),
        };
        if let Some(cause) = unknown_dry_run(&dry_run) {
            return Err(Status::invalid_options("DeleteOptions", &[cause]));
        }
        let refused = |reason, message| {
            let field = "propagationPolicy".to_owned();
            Err(Status::invalid_options("DeleteOptions", &[Cause { reason, field, message }]))
        };
        match options.propagation.as_deref() {
            Some(policy) if body["orphanDependents"].is_boolean() && body["propagationPolicy"].is_string() => {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                refused(Reason::Invalid, format!("Invalid value: {policy:?}: {why}"))
            }
            None | Some("Foreground" | "Background" | "Orphan") => Ok(options),
            Some(other) => {
                let supported = "\"Foreground\", \"Background\", \"Orphan\", \"nil\"";
                refused(Reason::NotSupported, format!("Unsupported value: {other:?}: supported values: {supported}"))
            }
        }
    }
}

/// What a delete came to.
pub(crate) enum Deleted {
    /// The object is gone.
    Gone(Value),
    /// It is marked; these are its bytes.
    Marked(bytes::Bytes),
}

pub(crate) async fn serve(
    api: &Api,
    context: &Context,
    name: &str,
    query: &Query,
    incoming: &Incoming,
) -> Result<Response, Status> {
    let options = Options::read(incoming, query)?;
    match run(api, context, name, &options).await? {
        Deleted::Marked(bytes) => Ok(respond(StatusCode::OK, bytes, &[])),
        Deleted::Gone(object) if context.kind.returns_deleted => Ok(respond(StatusCode::OK, object.to_string(), &[])),
        Deleted::Gone(object) => {
            let kind = context.kind;
            let mut details = json!({"name": name, "kind": kind.plural, "uid": object["metadata"]["uid"]});
            if !kind.group.is_empty() {
                details["group"] = kind.group.into();
            }
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
            Ok(respond(StatusCode::OK, status.to_string(), &[]))
        }
    }
}

/// Deletes an object.
pub(crate) async fn run(api: &Api, context: &Context, name: &str, options: &Options) -> Result<Deleted, Status> {
    let context = &Context { dry_run: context.dry_run || options.dry_run, ..context.clone() };
    attempts::run(api, context, name, |entry| once(api, context, name, entry, options)).await
}

async fn once(
    api: &Api,
    context: &Context,
    name: &str,
    entry: Arc<Entry>,
    options: &Options,
) -> Result<(Deleted, Stands), Failure> {
    let kind = context.kind;
    let revision = entry.mod_revision;
    let old = object::decode(kind, &entry).map_err(Failure::Judged)?;
    check_preconditions(context, name, &old, options).map_err(Failure::Judged)?;
    let mut marked = old.clone();
    admission::admit(api, context, Operation::Delete, "", &mut marked, Some(&old)).await.map_err(Failure::Judged)?;
    let grace = grace_s(context, &old, options);
    set_propagation(&mut marked, options);
    let finalizers = !has_no_finalizers(&marked);
    let lives_on = finalizers || grace > 0;
    if lives_on {
        let already = old["metadata"]["deletionTimestamp"].is_string();
        let shorter = old["metadata"]["deletionGracePeriodSeconds"].as_i64().is_none_or(|current| grace < current);
        if !already || shorter {
            let end_us = api.now_us() + grace.max(0) * 1_000_000;
            let metadata = metadata(&mut marked);
            metadata.insert("deletionTimestamp".to_owned(), rfc3339(end_us).into());
            metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
            if kind.kind == "Namespace" {
                marked["status"]["phase"] = "Terminating".into();
            } else if let Some(generation) = old["metadata"]["generation"].as_i64().filter(|_| !already) {
                marked["metadata"]["generation"] = (generation + 1).into();
            }
        }
        if marked == old {
            return Ok((Deleted::Marked(old.to_string().into()), Stands::AsSeen));
        }
        let encoded = encode(kind, &marked).map_err(Failure::Judged)?;
        if context.dry_run {
            return Ok((Deleted::Marked(encoded.at(revision)), Stands::AsSeen));
        }
        let revision = put(api, context, name, Expect::At(revision), &encoded).await?;
        return Ok((Deleted::Marked(encoded.at(revision)), Stands::InTheLog));
    }
    if context.dry_run {
        return Ok((Deleted::Gone(old), Stands::AsSeen));
    }
    propose(api, context, context.key(name), Expect::At(revision), Action::Delete).await?;
    allocate::release_unused(api, context, Some(&old), None).await;
    Ok((Deleted::Gone(old), Stands::InTheLog))
}

fn check_preconditions(context: &Context, name: &str, old: &Value, options: &Options) -> Result<(), Status> {
    let differs = |what: &str, wanted: &Option<String>, found: &Value| {
        wanted.as_ref().filter(|wanted| found != wanted.as_str()).map(|wanted| {
            let found = found.as_str().unwrap_or_default();
            let happened = match what {
                "UID" => "deleted and then recreated",
                _ => "modified",
            };
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object might have been {happened}"
            );
            Status::precondition(context.kind, name, &why)
        })
    };
    let metadata = &old["metadata"];
    differs("UID", &options.uid, &metadata["uid"])
        .or_else(|| differs("ResourceVersion", &options.resource_version, &metadata["resourceVersion"]))
        .map_or(Ok(()), Err)
}

/// Seconds that the object has to stop: nothing for what runs nowhere.
fn grace_s(context: &Context, old: &Value, options: &Options) -> i64 {
    let Some(default) = (context.kind.strategy.grace_period_s)(old) else { return 0 };
    let unbound = old["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    let finished = matches!(old["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if unbound || finished {
        return 0;
    }
    let asked = options.grace_period_s.unwrap_or(default);
    // Once a pod is going, its time can only get shorter.
    let left = old["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .filter(|_| old["metadata"]["deletionTimestamp"].is_string());
    let asked = if asked < 0 { 1 } else { asked };
    left.map_or(asked, |left| asked.min(left))
}

fn set_propagation(object: &mut Value, options: &Options) {
    let Some(policy) = options.propagation.as_deref() else { return };
    let metadata = metadata(object);
    let mut finalizers: Vec<Value> = metadata.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    finalizers.retain(|f| *f != "orphan" && *f != "foregroundDeletion");
    match policy {
        "Orphan" => finalizers.push("orphan".into()),
        "Foreground" => finalizers.push("foregroundDeletion".into()),
        _ => {}
    }
    if finalizers.is_empty() {
        metadata.shift_remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), finalizers.into());
    }
}

fn has_no_finalizers(object: &Value) -> bool {
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    empty(&object["metadata"]["finalizers"]) && empty(&object["spec"]["finalizers"])
}
