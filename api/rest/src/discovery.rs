//! What is served: `/api`, `/apis` and below, aggregated and not, and `/version`. Made once, from the registry.

use std::sync::OnceLock;

use api_kinds::Kind;
use api_kinds::registry::KINDS;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// Virtual kinds that only take POST: what they answer, `review` says. Group, version, plural, kind, and whether they are in
/// a namespace.
pub(crate) const REVIEWS: [(&str, &str, &str, &str, bool); 6] = [
    ("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", false),
    ("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false),
    ("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", true),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
    ("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", false),
];

/// A discovery document; `None` for other paths.
pub(crate) fn serve(path: &str, accept: &str) -> Option<Response> {
    let aggregated = accept.split(',').find_map(|option| {
        let wanted = option.contains("as=APIGroupDiscoveryList") && option.contains("g=apidiscovery.k8s.io");
        let version = if option.contains("v=v2beta1") { "v2beta1" } else { "v2" };
        wanted.then_some(version)
    });
    let path = path.trim_end_matches('/');
    let (document, content_type) = match (path, aggregated) {
        ("/api", Some(version)) => (aggregate(true, version), Some(version)),
        ("/apis", Some(version)) => (aggregate(false, version), Some(version)),
        ("/api", None) => (versions(), None),
        ("/apis", None) => (groups(), None),
        ("/version", _) => (version(), None),
        ("" | "/", _) => (
            json!({"paths": [
                "/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2",
                "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version",
            ]}),
            None,
        ),
        _ => (below(path)?, None),
    };
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = StatusCode::OK;
    let value = match content_type {
        Some("v2beta1") => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        Some(_) => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        None => "application/json",
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
    Some(response)
}

/// All groups but the core one, with their one version each, in the order of the registry.
fn group_versions() -> &'static Vec<(&'static str, &'static str)> {
    static GROUPS: OnceLock<Vec<(&str, &str)>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let mut groups = Vec::new();
        let named = KINDS.iter().map(|k| (k.group, k.version)).chain(REVIEWS.iter().map(|r| (r.0, r.1)));
        for group in named.filter(|(group, _)| !group.is_empty()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    })
}

/// Whether anything is served of a group.
pub(crate) fn knows(group: &str) -> bool {
    group.is_empty() || group_versions().iter().any(|(known, _)| *known == group)
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "37", "gitVersion": concat!("v1.37.0+trireme-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64",
        "emulationMajor": "1", "emulationMinor": "37", "minCompatibilityMajor": "1", "minCompatibilityMinor": "36",
    })
}

fn versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn groups() -> Value {
    let groups: Vec<Value> = group_versions().iter().map(|(name, version)| group(name, version)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn below(path: &str) -> Option<Value> {
    if path == "/api/v1" {
        return Some(resources("", "v1"));
    }
    let mut parts = path.strip_prefix("/apis/")?.split('/');
    let (name, version, rest) = (parts.next()?, parts.next(), parts.next());
    let known =
        group_versions().iter().find(|(group, v)| *group == name && version.is_none_or(|wanted| wanted == *v))?;
    match (version, rest) {
        (None, _) => {
            let mut found = group(known.0, known.1);
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            Some(found)
        }
        (Some(version), None) => Some(resources(name, version)),
        _ => None,
    }
}

fn resources(group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for kind in KINDS.iter().filter(|k| k.group == group && k.version == version) {
        resources.push(resource(kind));
        for sub in kind.subresources {
            let mut found = json!({
                "name": format!("{}/{}", kind.plural, sub.name), "singularName": "", "namespaced": kind.namespaced(),
                "kind": sub.kind, "verbs": sub.verbs,
            });
            if let Some((group, version)) = sub.group_version {
                found["group"] = group.into();
                found["version"] = version.into();
            }
            resources.push(found);
        }
    }
    for (_, _, plural, kind, namespaced) in REVIEWS.iter().filter(|r| (r.0, r.1) == (group, version)) {
        resources.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind, "verbs": ["create"],
        }));
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

fn resource(kind: &Kind) -> Value {
    let mut found = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced(), "kind": kind.kind, "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        found["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        found["categories"] = json!(kind.categories);
    }
    found
}

fn aggregate(core: bool, version: &str) -> Value {
    let groups: Vec<(&str, &str)> = if core { vec![("", "v1")] } else { group_versions().clone() };
    let items: Vec<Value> = groups
        .into_iter()
        .map(|(group, group_version)| {
            let mut resources: Vec<Value> = KINDS
                .iter()
                .filter(|k| k.group == group && k.version == group_version)
                .map(|kind| aggregated_resource(kind))
                .collect();
            for (_, _, plural, kind, namespaced) in REVIEWS.iter().filter(|r| (r.0, r.1) == (group, group_version)) {
                resources.push(json!({
                    "resource": plural, "singularResource": kind.to_lowercase(), "verbs": ["create"],
                    "responseKind": {"group": group, "version": group_version, "kind": kind},
                    "scope": if *namespaced { "Namespaced" } else { "Cluster" },
                }));
            }
            let mut metadata = json!({"creationTimestamp": null});
            if !group.is_empty() {
                metadata["name"] = group.into();
            }
            json!({"metadata": metadata, "versions": [{"version": group_version, "freshness": "Current", "resources": resources}]})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items,
    })
}

fn aggregated_resource(kind: &Kind) -> Value {
    let mut found = json!({
        "resource": kind.plural, "singularResource": kind.singular, "verbs": kind.verbs,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": if kind.namespaced() { "Namespaced" } else { "Cluster" },
    });
    if !kind.short_names.is_empty() {
        found["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        found["categories"] = json!(kind.categories);
    }
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|sub| {
            let (group, version) = sub.group_version.unwrap_or((kind.group, kind.version));
            json!({
                "subresource": sub.name, "verbs": sub.verbs,
                "responseKind": {"group": group, "version": version, "kind": sub.kind},
            })
        })
        .collect();
    if !subresources.is_empty() {
        found["subresources"] = subresources.into();
    }
    found
}
