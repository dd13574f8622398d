//! `serviceaccounts/token`: a token for an account, perhaps bound to a pod, Secret or node (`kubectl create token`).

use api_kinds::core::node::NODE;
use api_kinds::core::secret::SECRET;
use api_kinds::pod::POD;
use api_kinds::{Cause, Kind, Reason};
use axum::response::Response;
use http::{Method, StatusCode};
use raft_state::Snapshot;
use serde_json::{Value, json};

use crate::api::{Incoming, json as respond};
use crate::context::Context;
use crate::query::Query;
use crate::token::claims::{Claims, Reference};
use crate::token::{ISSUER, authenticate};
use crate::verbs::{decode, get};
use crate::{Api, Status};

const GROUP: &str = "authentication.k8s.io";
const DEFAULT_S: i64 = 3600;
const SHORTEST_S: i64 = 600;
const LONGEST_S: i64 = 1 << 32;

pub(super) async fn serve(
    api: &Api,
    context: &Context,
    method: &Method,
    name: &str,
    query: &Query,
    body: &Incoming,
) -> Result<Response, Status> {
    if *method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    let mut request = decode::body(body)?.value;
    if !matches!(request["kind"].as_str(), None | Some("TokenRequest")) {
        return Err(Status::bad_request(format!("not a TokenRequest: {}", request["kind"])));
    }
    let snapshot = get::fresh(api, context, &Query { resource_version: None, ..query.clone() }).await?;
    let account = look_up(&snapshot, context.kind, &context.namespace, name)?;
    complete(context, name, &account, &mut request)?;
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_S);
    let now_us = api.now_us();
    let audiences = request["spec"]["audiences"].as_array().into_iter().flatten();
    let mut claims = Claims {
        audiences: audiences.filter_map(|audience| audience.as_str().map(str::to_owned)).collect(),
        issued_at_s: now_us / 1_000_000,
        expires_at_s: now_us / 1_000_000 + seconds,
        id: api.config.uid(),
        namespace: context.namespace.clone(),
        account: reference(&account),
        pod: None,
        secret: None,
        node: None,
    };
    bind(context, &snapshot, name, &request["spec"]["boundObjectRef"], &mut claims)?;
    request["apiVersion"] = format!("{GROUP}/v1").into();
    request["kind"] = "TokenRequest".into();
    request["metadata"]["creationTimestamp"] = api_kinds::time::rfc3339(now_us).into();
    request["status"] = json!({
        "token": authenticate::issue(api, &claims),
        "expirationTimestamp": api_kinds::time::rfc3339(now_us + seconds * 1_000_000),
    });
    Ok(respond(StatusCode::CREATED, request.to_string(), &[]))
}

fn look_up(snapshot: &Snapshot, kind: &'static Kind, namespace: &str, name: &str) -> Result<Value, Status> {
    let entry = snapshot.get(kind.key(namespace, name).as_bytes()).ok_or_else(|| Status::not_found(kind, name))?;
    crate::object::decode(kind, entry)
}

fn reference(object: &Value) -> Reference {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    Reference { name: text("name"), uid: text("uid") }
}

/// Fills in what the request leaves open, and refuses what makes no sense.
fn complete(context: &Context, name: &str, account: &Value, request: &mut Value) -> Result<(), Status> {
    for (field, wanted) in [("name", name), ("namespace", &context.namespace)] {
        let given = request["metadata"][field].as_str().unwrap_or_default();
        if !given.is_empty() && given != wanted {
            let message = format!("Invalid value: {given:?}: must match the service account {field} if specified");
            return Err(invalid(name, vec![(format!("metadata.{field}"), message)]));
        }
        request["metadata"][field] = wanted.into();
    }
    let uid = account["metadata"]["uid"].clone();
    match request["metadata"]["uid"].as_str() {
        Some(given) if !given.is_empty() && uid != given => {
            let why = format!(
                "the UID in the token request ({given}) does not match the UID of the service account ({})",
                uid.as_str().unwrap_or_default()
            );
            let message = format!("Operation cannot be fulfilled on TokenRequest.{GROUP} {name:?}: {why}");
            return Err(Status::new(409, "Conflict", message));
        }
        _ => request["metadata"]["uid"] = uid,
    }
    let spec = &mut request["spec"];
    if spec["audiences"].as_array().is_none_or(Vec::is_empty) {
        spec["audiences"] = json!([ISSUER]);
    }
    if spec["expirationSeconds"].is_null() {
        spec["expirationSeconds"] = DEFAULT_S.into();
    }
    let Some(seconds) = spec["expirationSeconds"].as_i64() else {
        return Err(Status::bad_request("spec.expirationSeconds is no number"));
    };
    if spec.get("boundObjectRef").is_none() {
        spec["boundObjectRef"] = Value::Null;
    }
    let refused = match seconds {
        ..SHORTEST_S => "may not specify a duration less than 10 minutes",
        SHORTEST_S..=LONGEST_S => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let message = format!("Invalid value: {seconds}: {refused}");
    Err(invalid("", vec![("spec.expirationSeconds".to_owned(), message)]))
}

fn invalid(name: &str, findings: Vec<(String, String)>) -> Status {
    let cause = |(field, message)| Cause { reason: Reason::Invalid, field, message };
    Status::invalid_virtual(GROUP, "TokenRequest", name, &findings.into_iter().map(cause).collect())
}

/// Binds claims to the object that the request names. A node gets tokens for the accounts of its own pods only.
fn bind(
    context: &Context,
    snapshot: &Snapshot,
    account: &str,
    wanted: &Value,
    claims: &mut Claims,
) -> Result<(), Status> {
    let text = |field: &str| wanted[field].as_str().unwrap_or_default();
    let node = context.identity.node();
    let refuse = |why: String| Err(Status::forbidden(context.kind, account, &why));
    if wanted.is_null() {
        return match node {
            Some(node) => refuse(format!("node {node:?} requested a token not bound to a pod")),
            None => Ok(()),
        };
    }
    let kind = match (text("apiVersion"), text("kind")) {
        ("" | "v1", "Pod") => &POD,
        ("" | "v1", "Secret") => &SECRET,
        ("" | "v1", "Node") => &NODE,
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let namespace = if kind.namespaced() { &*claims.namespace } else { "" };
    let found = look_up(snapshot, kind, namespace, text("name"))?;
    let bound = reference(&found);
    if !text("uid").is_empty() && text("uid") != bound.uid {
        let why = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
            text("uid")
        );
        return Err(Status::conflict(kind, text("name"), &why));
    }
    let runs_on = found["spec"]["nodeName"].as_str().unwrap_or_default();
    match node {
        Some(node) if kind.kind != "Pod" => {
            return refuse(format!("node {node:?} requested a token not bound to a pod"));
        }
        Some(node) if runs_on != node => {
            return refuse(format!("node {node:?} requested a token bound to a pod scheduled on a different node"));
        }
        _ => {}
    }
    match kind.kind {
        "Pod" => {
            if found["spec"]["serviceAccountName"] != account {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            claims.pod = Some(bound);
            claims.node = look_up(snapshot, &NODE, "", runs_on).ok().map(|node| reference(&node));
        }
        "Secret" => claims.secret = Some(bound),
        _ => claims.node = Some(bound),
    }
    Ok(())
}
