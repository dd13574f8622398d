//! Kinds as paths and operations.

use api_kinds::{Kind, Scope, Subresource};
use serde_json::{Map, Value, json};

use super::components::{Dialect, subresource_schema};

const LIST_PARAMETERS: [(&str, &str); 10] = [
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

const DELETE_PARAMETERS: [(&str, &str); 5] = [
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];

const PATCH_TYPES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    List,
    Post,
    Put,
    Patch,
    Delete,
    DeleteCollection,
    Connect,
}

impl Action {
    /// `x-kubernetes-action`
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Connect => "connect",
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::Get => "read",
            Self::List => "list",
            Self::Post => "create",
            Self::Put => "replace",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deleteCollection",
            Self::Connect => "connect",
        }
    }

    /// Query parameters and their types.
    pub(super) fn parameters(self) -> Vec<(&'static str, &'static str)> {
        let write = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
        match self {
            Self::Get | Self::Connect => Vec::new(),
            Self::List => LIST_PARAMETERS.to_vec(),
            Self::Post | Self::Put => write.to_vec(),
            Self::Patch => write.into_iter().chain([("force", "boolean")]).collect(),
            Self::Delete => DELETE_PARAMETERS.to_vec(),
            Self::DeleteCollection => {
                let listing =
                    LIST_PARAMETERS.into_iter().filter(|(name, _)| !matches!(*name, "allowWatchBookmarks" | "watch"));
                DELETE_PARAMETERS.into_iter().chain(listing).collect()
            }
        }
    }
}

/// One operation of a kind, apart from how it is written down.
pub(super) struct Operation<'a> {
    pub(super) kind: &'a Kind,
    pub(super) action: Action,
    /// Across all namespaces.
    pub(super) everywhere: bool,
    pub(super) subresource: Option<&'a Subresource>,
}

impl Operation<'_> {
    /// HTTP method.
    pub(super) fn method(&self) -> &'static str {
        match self.action {
            Action::Get | Action::List | Action::Connect => "get",
            Action::Post => "post",
            Action::Put => "put",
            Action::Patch => "patch",
            Action::Delete | Action::DeleteCollection => "delete",
        }
    }

    /// The type that the body has and the answer is; `None` for streams and text.
    pub(super) fn schema(&self) -> Option<&str> {
        match self.subresource {
            Some(subresource) => subresource_schema(self.kind, subresource),
            None => Some(self.kind.schema),
        }
    }

    /// The type of the answer.
    pub(super) fn answer(&self) -> Option<String> {
        match self.action {
            Action::List => Some(format!("{}List", self.kind.schema)),
            Action::Delete | Action::DeleteCollection => Some("io.k8s.apimachinery.pkg.apis.meta.v1.Status".to_owned()),
            _ => self.schema().map(str::to_owned),
        }
    }

    pub(super) fn gvk(&self) -> Value {
        let (mut group, mut version, mut kind) = (self.kind.group, self.kind.version, self.kind.kind);
        if let Some(subresource) = self.subresource {
            (group, version) = subresource.group_version.unwrap_or((group, version));
            kind = subresource.kind;
        }
        json!({"group": group, "version": version, "kind": kind})
    }

    /// `core_v1`, `apps_v1`
    pub(super) fn tag(&self) -> String {
        let group = self.kind.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
        format!("{group}_{}", self.kind.version)
    }

    /// `createCoreV1NamespacedPod`
    pub(super) fn id(&self) -> String {
        let tag: String = self.tag().split('_').map(capitalized).collect();
        let scope = if self.kind.scope == Scope::Namespaced && !self.everywhere { "Namespaced" } else { "" };
        let subresource = self.subresource.map(|s| capitalized(s.name)).unwrap_or_default();
        let everywhere = if self.everywhere { "ForAllNamespaces" } else { "" };
        format!("{}{tag}{scope}{}{subresource}{everywhere}", self.action.id(), self.kind.kind)
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Every path of a kind with its operations. `group` is `api/v1` or `apis/apps/v1`.
pub(super) fn operations<'a>(kind: &'a Kind, group: &str) -> Vec<(String, Vec<Operation<'a>>)> {
    let has = |verb: &str| kind.verbs.contains(&verb);
    let operation = |action| Operation { kind, action, everywhere: false, subresource: None };
    let pick = |candidates: &[(&str, Action)]| -> Vec<Operation<'a>> {
        candidates.iter().filter(|(verb, _)| has(verb)).map(|(_, action)| operation(*action)).collect()
    };
    let mut paths = Vec::new();
    let collection = match kind.scope {
        Scope::Namespaced => {
            let everywhere = has("list").then(|| Operation { everywhere: true, ..operation(Action::List) });
            paths.push((format!("/{group}/{}", kind.plural), everywhere.into_iter().collect()));
            format!("/{group}/namespaces/{{namespace}}/{}", kind.plural)
        }
        Scope::Cluster => format!("/{group}/{}", kind.plural),
    };
    let item = format!("{collection}/{{name}}");
    paths.push((
        collection,
        pick(&[("list", Action::List), ("create", Action::Post), ("deletecollection", Action::DeleteCollection)]),
    ));
    paths.push((
        item.clone(),
        pick(&[("get", Action::Get), ("update", Action::Put), ("delete", Action::Delete), ("patch", Action::Patch)]),
    ));
    for subresource in kind.subresources {
        let connects = matches!(subresource.name, "exec" | "attach" | "portforward" | "proxy");
        let actions = subresource.verbs.iter().filter_map(|verb| match *verb {
            "get" if connects => Some(Action::Connect),
            _ if connects => None,
            "get" => Some(Action::Get),
            "create" => Some(Action::Post),
            "update" => Some(Action::Put),
            "patch" => Some(Action::Patch),
            "delete" => Some(Action::Delete),
            _ => None,
        });
        let operations = actions.map(|action| Operation { subresource: Some(subresource), ..operation(action) });
        paths.push((format!("{item}/{}", subresource.name), operations.collect()));
    }
    paths.retain(|(_, operations): &(String, Vec<Operation<'_>>)| !operations.is_empty());
    paths
}

/// Names in braces, for `parameters` of a path.
pub(super) fn placeholders(path: &str) -> Vec<&str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
}

/// Writes the paths of a kind as OpenAPI v3.
pub(super) fn describe(kind: &Kind, group: &str, into: &mut Map<String, Value>) {
    for (path, operations) in operations(kind, group) {
        let mut item = Map::new();
        for operation in &operations {
            item.insert(operation.method().to_owned(), v3_operation(operation));
        }
        let named = placeholders(&path).into_iter().map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
        });
        let parameters = named.chain([query("pretty", "string")]);
        item.insert("parameters".to_owned(), Value::Array(parameters.collect()));
        into.insert(path, Value::Object(item));
    }
}

fn query(name: &str, ty: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": ty, "uniqueItems": true}})
}

fn v3_operation(operation: &Operation<'_>) -> Value {
    let mut written = Map::new();
    let mut put = |name: &str, value: Value| drop(written.insert(name.to_owned(), value));
    put("tags", json!([operation.tag()]));
    put("operationId", json!(operation.id()));
    let parameters = operation.action.parameters();
    if !parameters.is_empty() {
        put("parameters", parameters.into_iter().map(|(name, ty)| query(name, ty)).collect());
    }
    if let Some(body) = v3_body(operation) {
        put("requestBody", body);
    }
    let content = match operation.answer() {
        Some(schema) => {
            let schema = json!({"schema": Dialect::V3.reference(&schema)});
            json!({"application/json": schema, "application/yaml": schema})
        }
        None => json!({"*/*": {"schema": {"type": "string"}}}),
    };
    let mut responses =
        json!({"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}});
    if matches!(operation.action, Action::Post | Action::Put | Action::Patch) {
        responses["201"] = json!({"description": "Created", "content": content});
    }
    put("responses", responses);
    put("x-kubernetes-action", json!(operation.action.name()));
    put("x-kubernetes-group-version-kind", operation.gvk());
    Value::Object(written)
}

fn v3_body(operation: &Operation<'_>) -> Option<Value> {
    let delete = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
    let content = match operation.action {
        Action::Patch => {
            let patch = json!({"schema": Dialect::V3.reference("io.k8s.apimachinery.pkg.apis.meta.v1.Patch")});
            Value::Object(PATCH_TYPES.iter().map(|ty| ((*ty).to_owned(), patch.clone())).collect())
        }
        Action::Post | Action::Put => json!({"*/*": {"schema": Dialect::V3.reference(operation.schema()?)}}),
        Action::Delete | Action::DeleteCollection => json!({"*/*": {"schema": Dialect::V3.reference(delete)}}),
        _ => return None,
    };
    let required = matches!(operation.action, Action::Patch | Action::Post | Action::Put);
    Some(if required { json!({"content": content, "required": true}) } else { json!({"content": content}) })
}
