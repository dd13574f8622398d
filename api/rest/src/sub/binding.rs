//! `pods/binding`: a pod gets its node, once.

use axum::response::Response;
use http::{Method, StatusCode};
use planted_bugs::planted;
use serde_json::{Value, json};

use crate::api::{Incoming, json as respond};
use crate::context::Context;
use crate::verbs::decode;
use crate::verbs::update::{self, Change};
use crate::verbs::write::Written;
use crate::{Api, Status};

pub(super) async fn serve(
    api: &Api,
    context: &Context,
    method: &Method,
    name: &str,
    body: &Incoming,
) -> Result<Response, Status> {
    if *method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    let binding = decode::body(body)?.value;
    if binding["metadata"]["name"].as_str().unwrap_or_default() != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(Status::unprocessable(format!("Binding {name:?} is invalid: target.name: Required value")));
    }
    let uid = binding["metadata"]["uid"].as_str().unwrap_or_default();
    bind(api, context, name, uid, node).await?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond(StatusCode::CREATED, status.to_string(), &[]))
}

/// Binds a pod to a node. Void when it is bound already, being deleted, or another incarnation.
pub(crate) async fn bind(api: &Api, context: &Context, name: &str, uid: &str, node: &str) -> Result<Written, Status> {
    let now = api_kinds::time::rfc3339(api.now_us());
    let make = |old: &Value| {
        let refuse = |why: &str| Err(Status::conflict_of("pods/binding", name, why));
        if !uid.is_empty() && old["metadata"]["uid"] != uid {
            return refuse(&format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                old["metadata"]["uid"].as_str().unwrap_or_default()
            ));
        }
        if old["metadata"]["deletionTimestamp"].is_string() {
            return refuse(&format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        match old["spec"]["nodeName"].as_str() {
            Some(bound) if !bound.is_empty() && !planted!(BindingTwice) => {
                return refuse(&format!("pod {name} is already assigned to node {bound:?}"));
            }
            _ => {}
        }
        let mut new = old.clone();
        new["spec"]["nodeName"] = node.into();
        let conditions = new["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let mut conditions: Vec<Value> = conditions.into_iter().filter(|c| c["type"] != "PodScheduled").collect();
        conditions
            .push(json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}));
        new["status"]["conditions"] = conditions.into();
        Ok(new)
    };
    update::run(api, context, name, Change { subresource: "binding", make: &make, tracked: true }).await
}
