//! Namespace.

use serde_json::{Value, json};

use crate::findings::Findings;
use crate::kind::{Subresource, age, column, keep_all_but_status, keep_status, status};
use crate::meta::{NO_STANDARD_FINALIZER, is_standard_finalizer};
use crate::path::{Path, default, default_text, has, items, part, remove, set, text};
use crate::{Causes, Kind, Scope, Strategy, names};

/// Those of every cluster: made at its start, and made again when somebody deletes one.
pub const OF_EVERY_CLUSTER: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

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
            name_label(object);
            if let Some(status) = part(object, "status") {
                default_text(status, "phase", "Active");
            }
        },
        prepare_create: |object| {
            name_label(object);
            set(object, "status", json!({"phase": "Active"}));
            default(object, "spec", || json!({}));
            let spec = &mut object["spec"];
            if !items(spec, "finalizers").iter().any(|f| f == "kubernetes") {
                let mut finalizers = items(spec, "finalizers").to_vec();
                finalizers.push("kubernetes".into());
                set(spec, "finalizers", finalizers.into());
            }
        },
        prepare_update: |new, old| {
            keep_status(new, old);
            // Finalizers of the spec change through `/finalize` alone.
            match old.get("spec") {
                Some(spec) => set(new, "spec", spec.clone()),
                None => drop(remove(new, "spec")),
            }
        },
        prepare_status: keep_all_but_status,
        validate,
        validate_status,
        ..Strategy::PLAIN
    },
    columns: &[column("Status"), column("Age")],
    cells: |object, now_us| vec![text(&object["status"], "phase").into(), age(object, now_us)],
    selectable: &[("status.phase", |object| text(&object["status"], "phase").to_owned())],
    name_rule: names::dns1123_label,
    returns_deleted: true,
    ..Kind::BASE
};

/// Every namespace can be selected by its name.
fn name_label(object: &mut Value) {
    let name = text(&object["metadata"], "name").to_owned();
    let Some(metadata) = part(object, "metadata").filter(|_| !name.is_empty()) else { return };
    default(metadata, "labels", || json!({}));
    set(&mut metadata["labels"], "kubernetes.io/metadata.name", name.into());
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let at = Path::root("spec.finalizers");
    for finalizer in items(&object["spec"], "finalizers").iter().filter_map(Value::as_str) {
        findings.names(at, finalizer, names::qualified_name(finalizer));
        if !is_standard_finalizer(finalizer) {
            findings.invalid(at, finalizer, NO_STANDARD_FINALIZER);
        }
    }
    findings.done()
}

fn validate_status(new: &Value, _old: &Value) -> Causes {
    let mut findings = Findings::default();
    let (phase, at) = (text(&new["status"], "phase"), Path::root("status.Phase"));
    let going = has(&new["metadata"], "deletionTimestamp");
    if going && phase != "Terminating" {
        findings.invalid(at, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
    } else if !going && phase != "Active" {
        findings.invalid(at, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    }
    findings.done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_active_and_known_by_its_name() {
        let mut object = json!({"metadata": {"name": "a"}});
        (NAMESPACE.strategy.default)(&mut object);
        (NAMESPACE.strategy.prepare_create)(&mut object);
        assert_eq!(object["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "a"}));
        assert_eq!(object["spec"]["finalizers"], json!(["kubernetes"]));
        assert_eq!(object["status"]["phase"], "Active");
        let mut new = json!({"metadata": {"name": "a"}, "spec": {}, "status": {"phase": "Terminating"}});
        (NAMESPACE.strategy.prepare_update)(&mut new, &object);
        assert_eq!(new["spec"], object["spec"]);
        assert_eq!(new["status"], object["status"]);
    }
}
