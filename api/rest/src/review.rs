//! Reviews: what may I do, who am I. Virtual kinds that are answered and not stored.

use std::time::Instant;

use api_kinds::{Cause, Reason};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::{Incoming, json as respond};
use crate::authz::{self, Attributes};
use crate::route::Resource;
use crate::token::authenticate;
use crate::verbs::decode;
use crate::{Api, Identity, Status, discovery};

/// Whether a path names a review.
pub(crate) fn serves(resource: &Resource<'_>) -> bool {
    matches!(
        (resource.group, resource.plural),
        ("authentication.k8s.io", "selfsubjectreviews" | "tokenreviews")
            | (
                "authorization.k8s.io",
                "selfsubjectaccessreviews"
                    | "subjectaccessreviews"
                    | "localsubjectaccessreviews"
                    | "selfsubjectrulesreviews"
            )
    )
}

/// Answers a review.
pub(crate) async fn answer(
    api: &Api,
    identity: &Identity,
    resource: &Resource<'_>,
    body: &Incoming,
) -> Result<Response, Status> {
    let mut review = decode::body(body)?.value;
    for (field, value) in [("apiVersion", format!("{}/v1", resource.group)), ("kind", kind(resource.plural).to_owned())]
    {
        if review[field].as_str().is_none_or(str::is_empty) {
            review[field] = value.into();
        }
    }
    check(resource, &review)?;
    let administers = identity.is_in("system:masters");
    // A node asks on behalf of its own port whose token it was shown.
    let reviews_tokens = resource.plural == "tokenreviews" && identity.node().is_some();
    match resource.plural {
        "selfsubjectreviews" => review["status"] = json!({"userInfo": user_info(identity)}),
        "selfsubjectaccessreviews" => review["status"] = access(identity, &review["spec"]),
        "selfsubjectrulesreviews" => {
            let everything = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
            let rules = if administers { everything } else { json!([]) };
            let paths = if administers { json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]) } else { json!([]) };
            review["status"] = json!({"resourceRules": rules, "nonResourceRules": paths, "incomplete": !administers});
        }
        _ => {
            if !administers && !reviews_tokens {
                let message = format!(
                    "{} is forbidden: User {:?} cannot create resource {:?} in API group {:?} at the cluster scope",
                    resource.plural, identity.user, resource.plural, resource.group
                );
                return Err(Status::not_authorized(message));
            }
            if resource.plural == "tokenreviews" {
                review["status"] = token(api, &review["spec"]).await?;
                return Ok(respond(StatusCode::CREATED, review.to_string(), &[]));
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let groups = review["spec"]["groups"].as_array().into_iter().flatten().map(text).collect();
            let subject = Identity::new(text(&review["spec"]["user"]), groups);
            review["status"] = access(&subject, &review["spec"]);
        }
    }
    Ok(respond(StatusCode::CREATED, review.to_string(), &[]))
}

/// The kind of a review.
fn kind(plural: &str) -> &'static str {
    discovery::REVIEWS.iter().find(|review| review.2 == plural).map_or("", |review| review.3)
}

/// That a review of access asks about exactly one thing.
fn check(resource: &Resource<'_>, review: &Value) -> Result<(), Status> {
    let of_access = resource.group == "authorization.k8s.io" && resource.plural != "selfsubjectrulesreviews";
    let spec = &review["spec"];
    if !of_access || spec["resourceAttributes"].is_object() != spec["nonResourceAttributes"].is_object() {
        return Ok(());
    }
    let message = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified";
    let cause = Cause { reason: Reason::Invalid, field: "spec".to_owned(), message: message.to_owned() };
    Err(Status::invalid_virtual(resource.group, "", "", &vec![cause]))
}

/// `authentication/v1 UserInfo`
fn user_info(identity: &Identity) -> Value {
    let groups: Vec<&str> = identity.groups.iter().map(String::as_str).chain(["system:authenticated"]).collect();
    let mut info = json!({"username": identity.user, "groups": groups});
    if !identity.uid.is_empty() {
        info["uid"] = identity.uid.clone().into();
    }
    for (key, value) in &identity.extra {
        info["extra"][key] = json!([value]);
    }
    info
}

/// Whose token it is, if anybody's.
async fn token(api: &Api, spec: &Value) -> Result<Value, Status> {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = spec["audiences"].as_array().into_iter().flatten();
    let audiences: Vec<String> = audiences.filter_map(|audience| audience.as_str().map(str::to_owned)).collect();
    let deadline = Instant::now() + api.config.request_timeout;
    Ok(match authenticate::bearer(api, token, &audiences, deadline).await {
        Ok((identity, audiences)) => {
            json!({"authenticated": true, "user": user_info(&identity), "audiences": audiences})
        }
        Err(why) => json!({"user": {}, "error": why.to_string()}),
    })
}

fn access(identity: &Identity, spec: &Value) -> Value {
    let wanted = &spec["resourceAttributes"];
    let text = |field: &str| wanted[field].as_str().unwrap_or_default();
    let allowed = if wanted.is_object() {
        let attributes = Attributes {
            verb: text("verb"),
            group: text("group"),
            plural: text("resource"),
            subresource: text("subresource"),
            namespace: text("namespace"),
            name: text("name"),
        };
        authz::allowed(identity, attributes)
    } else {
        identity.is_in("system:masters")
    };
    json!({"allowed": allowed})
}
