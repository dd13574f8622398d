//! OpenAPI documents, made from the registry of kinds and the table of types: what kubectl's `explain`, `apply` and
//! client-side checks read. Types carry the `x-kubernetes-*` facts and descriptions of our own.
//!
//! All documents are made when the first one is asked for, and kept: they depend on nothing but this binary.

mod components;
mod descriptions;
mod paths;
mod proto;
mod v2;

use std::sync::OnceLock;

use api_kinds::Kind;
use api_kinds::registry::KINDS;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

/// The version that documents claim.
const VERSION: &str = "v1.37.0";

/// The OpenAPI v3 document of a group version.
#[derive(Debug)]
pub struct Document {
    /// `api/v1`, `apis/apps/v1`: served at `/openapi/v3/<path>`.
    pub path: String,
    /// The document: JSON, unless its maker says otherwise.
    pub bytes: Vec<u8>,
    /// Of the document: the `hash` parameter under which it never changes, and its ETag.
    pub hash: String,
}

/// Every group version's document, in the registry's order.
pub fn v3_documents() -> &'static [Document] {
    static DOCUMENTS: OnceLock<Vec<Document>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| group_paths().into_iter().map(|path| seal(v3_document(&path), path)).collect())
}

/// The document of a group version; `None` when nothing is served there. `path` is `api/v1` or `apis/apps/v1`.
pub fn v3(path: &str) -> Option<&'static Document> {
    v3_documents().iter().find(|document| document.path == path)
}

/// What `/openapi/v3` answers: where each document is.
pub fn v3_index() -> &'static [u8] {
    static INDEX: OnceLock<Vec<u8>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let paths: Map<String, Value> = v3_documents()
            .iter()
            .map(|document| {
                let url = format!("/openapi/v3/{}?hash={}", document.path, document.hash);
                (document.path.clone(), json!({"serverRelativeURL": url}))
            })
            .collect();
        json!({"paths": paths}).to_string().into_bytes()
    })
}

/// What `/openapi/v2` answers, as JSON: one Swagger document of everything.
pub fn v2() -> &'static Document {
    static SWAGGER: OnceLock<Document> = OnceLock::new();
    SWAGGER.get_or_init(|| seal(v2::document(), String::new()))
}

/// The same document in protobuf (gnostic's `openapi.v2.Document`).
pub fn v2_protobuf() -> &'static Document {
    static SWAGGER: OnceLock<Document> = OnceLock::new();
    SWAGGER.get_or_init(|| {
        let bytes = proto::encode(&v2::document());
        let hash = format!("{:032X}", xxh3_128(&bytes));
        Document { path: String::new(), bytes, hash }
    })
}

fn seal(document: Value, path: String) -> Document {
    let bytes = document.to_string().into_bytes();
    let hash = format!("{:032X}", xxh3_128(&bytes));
    Document { path, bytes, hash }
}

fn group_paths() -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for kind in KINDS {
        let path = group_path(kind);
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// `api/v1`, `apis/apps/v1`
fn group_path(kind: &Kind) -> String {
    if kind.group.is_empty() {
        format!("api/{}", kind.version)
    } else {
        format!("apis/{}/{}", kind.group, kind.version)
    }
}

fn v3_document(path: &str) -> Value {
    let kinds: Vec<&Kind> = KINDS.iter().copied().filter(|kind| group_path(kind) == path).collect();
    let mut items = Map::new();
    for kind in &kinds {
        paths::describe(kind, path, &mut items);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": items,
        "components": {
            "schemas": components::of_kinds(&kinds, components::Dialect::V3),
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
            }},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str) -> Value {
        serde_json::from_slice(&v3(path).expect("a document").bytes).unwrap()
    }

    /// Every reference of a document leads to one of its schemas.
    fn dangling(value: &Value, prefix: &str, schemas: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    match value.as_str().filter(|_| name == "$ref") {
                        Some(target) if schemas.get(target.trim_start_matches(prefix)).is_none() => {
                            found.push(target.to_owned());
                        }
                        _ => dangling(value, prefix, schemas, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| dangling(item, prefix, schemas, found)),
            _ => {}
        }
    }

    #[test]
    fn every_group_version_has_a_closed_document() {
        let index: Value = serde_json::from_slice(v3_index()).unwrap();
        for kind in KINDS {
            let path = group_path(kind);
            let document = document(&path);
            let mut found = Vec::new();
            dangling(&document, "#/components/schemas/", &document["components"]["schemas"], &mut found);
            assert_eq!(found, Vec::<String>::new(), "{path}");
            let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
            let schema = &document["components"]["schemas"][kind.schema];
            assert_eq!(schema["x-kubernetes-group-version-kind"][0], gvk, "{}", kind.schema);
            let url = index["paths"][&path]["serverRelativeURL"].as_str().unwrap();
            assert_eq!(url, format!("/openapi/v3/{path}?hash={}", v3(&path).unwrap().hash));
        }
        let swagger: Value = serde_json::from_slice(&v2().bytes).unwrap();
        let mut found = Vec::new();
        dangling(&swagger, "#/definitions/", &swagger["definitions"], &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn kubectl_finds_what_it_looks_for() {
        let document = document("api/v1");
        let pods = &document["paths"]["/api/v1/namespaces/{namespace}/pods"];
        let gvk = json!({"group": "", "version": "v1", "kind": "Pod"});
        assert_eq!(pods["get"]["x-kubernetes-group-version-kind"], gvk);
        assert_eq!(pods["get"]["x-kubernetes-action"], "list");
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"], gvk);
        let parameters: Vec<&str> =
            patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(parameters, ["dryRun", "fieldManager", "fieldValidation", "force"]);
        let spec = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"];
        let containers = &spec["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
        assert_eq!(containers["x-kubernetes-list-type"], "map");
        assert_eq!(containers["items"]["$ref"], "#/components/schemas/io.k8s.api.core.v1.Container");
        assert_eq!(spec["properties"]["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
        assert_eq!(spec["required"], json!(["containers"]));
    }
}
