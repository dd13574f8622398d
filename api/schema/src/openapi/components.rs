//! Types as schemas.

use std::collections::BTreeSet;

use api_kinds::Kind;
use serde_json::{Map, Value, json};

use super::descriptions;
use crate::definitions::{Definition, Definitions, Field, ListKind, Type};

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";

/// Types that every document has: bodies of deletes and patches, and answers.
const COMMON: [&str; 3] = [
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
];

/// The two ways to write schemas.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    V3,
}

impl Dialect {
    pub(super) fn reference(self, name: &str) -> Value {
        let prefix = if self == Self::V3 { "#/components/schemas/" } else { "#/definitions/" };
        json!({"$ref": format!("{prefix}{name}")})
    }
}

/// The schemas of kinds, their lists and subresources, and all that they refer to, by name.
pub(super) fn of_kinds(kinds: &[&Kind], dialect: Dialect) -> Map<String, Value> {
    let definitions = Definitions::builtin();
    let mut names = BTreeSet::new();
    for kind in kinds {
        collect(definitions, kind.schema, &mut names);
        collect(definitions, &format!("{}List", kind.schema), &mut names);
        for subresource in kind.subresources {
            if let Some(name) = subresource_schema(kind, subresource) {
                collect(definitions, name, &mut names);
            }
        }
    }
    for name in COMMON {
        collect(definitions, name, &mut names);
    }
    names.iter().filter_map(|name| Some((name.clone(), schema(definitions.named(name)?.root, dialect)))).collect()
}

/// The type that a subresource takes and returns; `None` when it is no object (`log`, say).
pub(super) fn subresource_schema(kind: &Kind, subresource: &api_kinds::Subresource) -> Option<&'static str> {
    if matches!(subresource.name, "log" | "exec" | "attach" | "portforward" | "proxy") {
        return None;
    }
    let (group, version) = subresource.group_version.unwrap_or((kind.group, kind.version));
    let mine =
        |(g, v, k): &(Box<str>, Box<str>, Box<str>)| **g == *group && **v == *version && **k == *subresource.kind;
    let found = Definitions::builtin().all().iter().find(|definition| definition.kinds.iter().any(mine));
    found.map(|definition| &*definition.name)
}

/// A type and everything that it refers to.
fn collect(definitions: &Definitions, name: &str, into: &mut BTreeSet<String>) {
    let Some(schema) = definitions.named(name) else { return };
    if into.insert(name.to_owned()) {
        for field in schema.root.fields() {
            collect_type(definitions, &field.ty, into);
        }
    }
}

fn collect_type(definitions: &Definitions, ty: &Type, into: &mut BTreeSet<String>) {
    match ty {
        Type::Struct(index) => collect(definitions, &definitions.at(*index).name, into),
        Type::List(inner) | Type::Map(inner) => collect_type(definitions, inner, into),
        Type::Quantity => collect(definitions, QUANTITY, into),
        Type::IntOrString => collect(definitions, INT_OR_STRING, into),
        Type::Time => collect(definitions, TIME, into),
        Type::MicroTime => collect(definitions, MICRO_TIME, into),
        _ => {}
    }
}

fn schema(definition: &'static Definition, dialect: Dialect) -> Value {
    let text = descriptions::of_type(&definition.name);
    if let Some(scalar) = &definition.scalar {
        let mut schema = scalar_schema(scalar, dialect);
        if let Some(text) = text {
            schema["description"] = text.into();
        }
        return schema;
    }
    let fields = definition.fields_by_name();
    let mut schema = Map::new();
    if let Some(text) = text {
        schema.insert("description".to_owned(), text.into());
    }
    schema.insert("type".to_owned(), json!("object"));
    let required: Vec<&&str> = fields.iter().filter(|(_, field)| field.required).map(|(name, _)| name).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if !fields.is_empty() {
        let properties = fields.iter().map(|(name, field)| ((*name).to_owned(), property(definition, field, dialect)));
        schema.insert("properties".to_owned(), Value::Object(properties.collect()));
    }
    if definition.atomic {
        schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
    }
    if !definition.kinds.is_empty() {
        let kinds = definition.kinds.iter();
        let kinds = kinds.map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind}));
        schema.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(kinds.collect()));
    }
    if !definition.unions.is_empty() {
        schema.insert("x-kubernetes-unions".to_owned(), unions(definition));
    }
    Value::Object(schema)
}

fn unions(definition: &Definition) -> Value {
    let unions = definition.unions.iter().map(|union| {
        let fields: Map<String, Value> =
            union.fields.iter().map(|(field, value)| (field.to_string(), json!(value))).collect();
        match &union.discriminator {
            Some(discriminator) => json!({"discriminator": discriminator, "fields-to-discriminateBy": fields}),
            None => json!({"fields-to-discriminateBy": fields}),
        }
    });
    Value::Array(unions.collect())
}

fn property(owner: &Definition, field: &'static Field, dialect: Dialect) -> Value {
    let shape = shape(&field.ty, dialect);
    let Value::Object(mut facts) = shape else { return shape };
    let mut more = extensions(field);
    if let Some(text) = descriptions::of_field(&owner.name, field.name()) {
        more.insert("description".to_owned(), text.into());
    }
    if field.in_place && dialect == Dialect::V3 {
        more.insert("default".to_owned(), json!({}));
    }
    if let Some(default) = &field.default {
        more.insert("default".to_owned(), default.clone());
    }
    // Nothing may stand beside a reference.
    if facts.contains_key("$ref") && !more.is_empty() && dialect == Dialect::V3 {
        facts = Map::from_iter([("allOf".to_owned(), json!([facts]))]);
    }
    facts.extend(more);
    Value::Object(facts)
}

fn extensions(field: &Field) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| drop(facts.insert(format!("x-kubernetes-{name}"), value));
    match &field.list {
        ListKind::Atomic if field.atomic && matches!(field.ty, Type::List(_)) => put("list-type", json!("atomic")),
        ListKind::Atomic if field.atomic => put("map-type", json!("atomic")),
        ListKind::Atomic => {}
        ListKind::Set => put("list-type", json!("set")),
        ListKind::Map(keys) => {
            put("list-map-keys", json!(keys));
            put("list-type", json!("map"));
        }
    }
    if let Some(key) = &field.merge_key {
        put("patch-merge-key", json!(key));
    }
    let strategies = [(field.merge, "merge"), (field.retain_keys, "retainKeys"), (field.replace, "replace")];
    let strategies: Vec<&str> = strategies.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
    if !strategies.is_empty() {
        put("patch-strategy", json!(strategies.join(",")));
    }
    facts
}

fn shape(ty: &Type, dialect: Dialect) -> Value {
    match ty {
        Type::Any => json!({"type": "object"}),
        Type::String => json!({"type": "string"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Boolean => json!({"type": "boolean"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Number => json!({"type": "number", "format": "double"}),
        Type::Quantity => dialect.reference(QUANTITY),
        Type::IntOrString => dialect.reference(INT_OR_STRING),
        Type::Time => dialect.reference(TIME),
        Type::MicroTime => dialect.reference(MICRO_TIME),
        Type::List(inner) => json!({"type": "array", "items": shape(inner, dialect)}),
        Type::Map(inner) => json!({"type": "object", "additionalProperties": shape(inner, dialect)}),
        Type::Struct(index) => dialect.reference(&Definitions::builtin().at(*index).name),
    }
}

fn scalar_schema(scalar: &Type, dialect: Dialect) -> Value {
    match (scalar, dialect) {
        (Type::Quantity, Dialect::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (Type::Quantity, Dialect::V2) => json!({"type": "string"}),
        (Type::IntOrString, Dialect::V3) => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (Type::IntOrString, Dialect::V2) => json!({"type": "string", "format": "int-or-string"}),
        (Type::Time | Type::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
        _ => json!({"type": "object"}),
    }
}
