//! OpenAPI documents, made from the registry of kinds and the table of types. What kubectl reads: `explain`, client-side
//! validation, and whether the server validates fields itself.

use std::collections::BTreeSet;

use api_kinds::registry::KINDS;
use api_kinds::{Kind, Scope};
use serde_json::{Map, Value, json};

use crate::definitions::{Definition, ListKind, Type, at, by_name};

/// Group versions that have a document, as its path: `api/v1`, `apis/apps/v1`.
pub fn paths() -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for kind in KINDS {
        let path = group_path(kind);
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

fn group_path(kind: &Kind) -> String {
    if kind.group.is_empty() {
        format!("api/{}", kind.version)
    } else {
        format!("apis/{}/{}", kind.group, kind.version)
    }
}

/// The OpenAPI v3 document of a group version; `None` when nothing is served there.
pub fn v3(path: &str) -> Option<Value> {
    let kinds: Vec<&Kind> = KINDS.iter().copied().filter(|k| group_path(k) == path).collect();
    if kinds.is_empty() {
        return None;
    }
    let mut operations = Map::new();
    let mut schemas = BTreeSet::new();
    for kind in kinds {
        describe(kind, path, &mut operations);
        collect(kind.schema, &mut schemas);
        if let Some(definition) = list_of(kind) {
            collect(&definition.name, &mut schemas);
        }
    }
    collect("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", &mut schemas);
    collect("io.k8s.apimachinery.pkg.apis.meta.v1.Status", &mut schemas);
    let components: Map<String, Value> = schemas
        .iter()
        .filter_map(|name| Some((name.clone(), schema(by_name(name)?, "#/components/schemas/"))))
        .collect();
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": operations,
        "components": {"schemas": components},
    }))
}

/// The OpenAPI v2 document of everything.
pub fn v2() -> Value {
    let mut operations = Map::new();
    let mut schemas = BTreeSet::new();
    for kind in KINDS {
        describe(kind, &group_path(kind), &mut operations);
        collect(kind.schema, &mut schemas);
        if let Some(definition) = list_of(kind) {
            collect(&definition.name, &mut schemas);
        }
    }
    let definitions: Map<String, Value> =
        schemas.iter().filter_map(|name| Some((name.clone(), schema(by_name(name)?, "#/definitions/")))).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": operations,
        "definitions": definitions,
    })
}

fn list_of(kind: &Kind) -> Option<&'static Definition> {
    by_name(&format!("{}List", kind.schema))
}

/// A definition and everything that it refers to.
fn collect(name: &str, into: &mut BTreeSet<String>) {
    let Some(definition) = by_name(name) else { return };
    if !into.insert(name.to_owned()) {
        return;
    }
    for field in &definition.fields {
        collect_type(&field.ty, into);
    }
}

fn collect_type(ty: &Type, into: &mut BTreeSet<String>) {
    match ty {
        Type::Struct(index) => collect(&at(*index).name, into),
        Type::List(inner) | Type::Map(inner) => collect_type(inner, into),
        _ => {}
    }
}

fn describe(kind: &Kind, group: &str, operations: &mut Map<String, Value>) {
    let collection = match kind.scope {
        Scope::Namespaced => format!("/{group}/namespaces/{{namespace}}/{}", kind.plural),
        Scope::Cluster => format!("/{group}/{}", kind.plural),
    };
    let mut item = Map::new();
    let mut all = Map::new();
    for verb in kind.verbs {
        match *verb {
            "get" => drop(item.insert("get".to_owned(), operation(kind, "get"))),
            "update" => drop(item.insert("put".to_owned(), operation(kind, "put"))),
            "patch" => drop(item.insert("patch".to_owned(), operation(kind, "patch"))),
            "delete" => drop(item.insert("delete".to_owned(), operation(kind, "delete"))),
            "list" => drop(all.insert("get".to_owned(), operation(kind, "list"))),
            "create" => drop(all.insert("post".to_owned(), operation(kind, "post"))),
            _ => {}
        }
    }
    operations.insert(format!("{collection}/{{name}}"), Value::Object(item));
    operations.insert(collection, Value::Object(all));
}

fn operation(kind: &Kind, action: &str) -> Value {
    let mut parameters = vec![query("pretty")];
    if matches!(action, "post" | "put" | "patch") {
        parameters.extend([query("dryRun"), query("fieldManager"), query("fieldValidation")]);
    }
    if action == "patch" {
        parameters.push(query("force"));
    }
    let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{}", kind.schema)}}});
    json!({
        "operationId": format!("{action}{}", kind.kind),
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    })
}

fn query(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
}

fn schema(definition: &Definition, references: &str) -> Value {
    if let Some(scalar) = &definition.scalar {
        return shape(scalar, references);
    }
    let mut properties = Map::new();
    for field in &definition.fields {
        let mut facts = shape(&field.ty, references);
        if let Some(map) = facts.as_object_mut() {
            match &field.list {
                ListKind::Atomic if matches!(field.ty, Type::List(_)) && field.merge_key.is_none() && !field.merge => {
                    map.insert("x-kubernetes-list-type".to_owned(), json!("atomic"));
                }
                ListKind::Atomic => {}
                ListKind::Set => drop(map.insert("x-kubernetes-list-type".to_owned(), json!("set"))),
                ListKind::Map(keys) => {
                    map.insert("x-kubernetes-list-type".to_owned(), json!("map"));
                    map.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
                }
            }
            if let Some(key) = field.merge_key {
                map.insert("x-kubernetes-patch-merge-key".to_owned(), json!(key));
            }
            let strategies: Vec<&str> = [(field.merge, "merge"), (field.retain_keys, "retainKeys")]
                .iter()
                .filter(|s| s.0)
                .map(|s| s.1)
                .collect();
            if !strategies.is_empty() {
                map.insert("x-kubernetes-patch-strategy".to_owned(), json!(strategies.join(",")));
            }
            if field.atomic {
                map.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
            }
        }
        properties.insert(field.name.to_owned(), facts);
    }
    let required: Vec<&str> = definition.fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if definition.atomic {
        schema["x-kubernetes-map-type"] = json!("atomic");
    }
    if !definition.kinds.is_empty() {
        schema["x-kubernetes-group-version-kind"] = definition
            .kinds
            .iter()
            .map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind}))
            .collect();
    }
    schema
}

fn shape(ty: &Type, references: &str) -> Value {
    match ty {
        Type::Any => json!({"type": "object"}),
        Type::String => json!({"type": "string"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Time => json!({"type": "string", "format": "date-time"}),
        Type::Boolean => json!({"type": "boolean"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Number => json!({"type": "number", "format": "double"}),
        Type::Quantity if references.starts_with("#/components") => {
            json!({"oneOf": [{"type": "string"}, {"type": "number"}]})
        }
        Type::Quantity => json!({"type": "string"}),
        Type::IntOrString if references.starts_with("#/components") => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        Type::IntOrString => json!({"type": "string", "format": "int-or-string"}),
        Type::List(inner) => json!({"type": "array", "items": shape(inner, references)}),
        Type::Map(inner) => json!({"type": "object", "additionalProperties": shape(inner, references)}),
        Type::Struct(index) if references.starts_with("#/components") => {
            json!({"allOf": [{"$ref": format!("{references}{}", at(*index).name)}], "default": {}})
        }
        Type::Struct(index) => json!({"$ref": format!("{references}{}", at(*index).name)}),
    }
}
