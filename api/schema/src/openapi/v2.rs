//! The Swagger document, for clients that know nothing newer.

use api_kinds::registry::KINDS;
use serde_json::{Map, Value, json};

use super::components::{Dialect, of_kinds};
use super::paths::{Action, Operation, operations, placeholders};
use super::{VERSION, group_path};

/// Everything that is served, as one document.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for kind in KINDS {
        for (path, operations) in operations(kind, &group_path(kind)) {
            let mut item = Map::new();
            for operation in &operations {
                item.insert(operation.method().to_owned(), written(operation));
            }
            let named = placeholders(&path).into_iter().map(|name| parameter(name, "path", "string"));
            let parameters = named.chain([parameter("pretty", "query", "string")]);
            item.insert("parameters".to_owned(), Value::Array(parameters.collect()));
            paths.insert(path, Value::Object(item));
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "definitions": of_kinds(KINDS, Dialect::V2),
        "security": [{"BearerToken": []}],
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey",
        }},
    })
}

fn parameter(name: &str, place: &str, ty: &str) -> Value {
    let mut parameter = json!({"name": name, "in": place, "type": ty, "uniqueItems": true});
    if place == "path" {
        parameter["required"] = json!(true);
    }
    parameter
}

fn written(operation: &Operation<'_>) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    let body = match operation.action {
        Action::Patch => Some("io.k8s.apimachinery.pkg.apis.meta.v1.Patch"),
        Action::Post | Action::Put => operation.schema(),
        Action::Delete | Action::DeleteCollection => Some("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"),
        _ => None,
    };
    if let Some(body) = body {
        let required = !matches!(operation.action, Action::Delete | Action::DeleteCollection);
        parameters
            .push(json!({"name": "body", "in": "body", "required": required, "schema": Dialect::V2.reference(body)}));
    }
    parameters.extend(operation.action.parameters().into_iter().map(|(name, ty)| parameter(name, "query", ty)));
    let schema = operation.answer().map_or_else(|| json!({"type": "string"}), |schema| Dialect::V2.reference(&schema));
    json!({
        "tags": [operation.tag()],
        "operationId": operation.id(),
        "produces": ["application/json", "application/yaml"],
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "schema": schema}, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": operation.action.name(),
        "x-kubernetes-group-version-kind": operation.gvk(),
    })
}
