//! Namespace.

use serde_json::{Value, json};

use crate::kind::{Subresource, age, column, keep_all_but_status, keep_status, status};
use crate::path::text;
use crate::{Kind, Scope, Strategy, names};

/// Namespace.
pub static NAMESPACE: Kind = Kind {
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    scope: Scope::Cluster,
    schema: "io.k8s.api.core.v1.Namespace",
    subresources: &[
        Subresource { name: "finalize", kind: "Namespace", group_version: None, verbs: &["update"] },
        status("Namespace"),
    ],
    verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
    strategy: Strategy {
        default: |object| {
            // Every namespace can be selected by its name.
            if let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
            }
        },
        prepare_create: |object| {
            object["status"] = json!({"phase": "Active"});
            object["spec"] = json!({"finalizers": ["kubernetes"]});
        },
        prepare_update: |new, old| {
            keep_status(new, old);
            keep_spec(new, old);
        },
        prepare_status: keep_all_but_status,
        ..Strategy::PLAIN
    },
    columns: &[column("Status"), column("Age")],
    cells: |object, now_us| vec![text(&object["status"], "phase").into(), age(object, now_us)],
    selectable: &[("status.phase", |object| text(&object["status"], "phase").to_owned())],
    name_rule: names::dns1123_label,
    ..Kind::BASE
};

/// Finalizers of the spec change through `/finalize` alone.
fn keep_spec(new: &mut Value, old: &Value) {
    if let (Value::Object(map), Some(spec)) = (new, old.get("spec")) {
        map.insert("spec".to_owned(), spec.clone());
    }
}
