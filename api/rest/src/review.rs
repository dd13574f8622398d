//! Reviews: what may I do, who am I. Virtual kinds that are answered and not stored.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::{Incoming, json as respond};
use crate::authz::{self, Attributes};
use crate::route::Resource;
use crate::verbs::decode;
use crate::{Identity, Status};

/// Whether a path names a review.
pub(crate) fn serves(resource: &Resource<'_>) -> bool {
    matches!(
        (resource.group, resource.plural),
        ("authentication.k8s.io", "selfsubjectreviews")
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
pub(crate) fn answer(identity: &Identity, resource: &Resource<'_>, body: &Incoming) -> Result<Response, Status> {
    let mut review = decode::body(body)?.value;
    let administers = identity.is_in("system:masters");
    match resource.plural {
        "selfsubjectreviews" => {
            let groups: Vec<&str> =
                identity.groups.iter().map(String::as_str).chain(["system:authenticated"]).collect();
            review["status"] = json!({"userInfo": {"username": identity.user, "groups": groups}});
        }
        "selfsubjectaccessreviews" => review["status"] = access(identity, &review["spec"]),
        "selfsubjectrulesreviews" => {
            let everything = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
            let rules = if administers { everything } else { json!([]) };
            let paths = if administers { json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]) } else { json!([]) };
            review["status"] = json!({"resourceRules": rules, "nonResourceRules": paths, "incomplete": !administers});
        }
        _ => {
            if !administers {
                let message = format!(
                    "{} is forbidden: User {:?} cannot create resource {:?} in API group {:?} at the cluster scope",
                    resource.plural, identity.user, resource.plural, resource.group
                );
                return Err(Status::not_authorized(message));
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let groups = review["spec"]["groups"].as_array().into_iter().flatten().map(text).collect();
            let subject = Identity::new(text(&review["spec"]["user"]), groups);
            review["status"] = access(&subject, &review["spec"]);
        }
    }
    Ok(respond(StatusCode::CREATED, review.to_string(), &[]))
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
