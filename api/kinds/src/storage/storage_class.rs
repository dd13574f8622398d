//! StorageClass (storage.k8s.io/v1).

use serde_json::Value;

use crate::findings::Findings;
use crate::kind::{age, column};
use crate::path::{Path, default, entries, has, is_true, text};
use crate::{Causes, Cell, Kind, Scope, Strategy, names};

/// StorageClass.
pub static STORAGE_CLASS: Kind = Kind {
    group: "storage.k8s.io",
    kind: "StorageClass",
    plural: "storageclasses",
    singular: "storageclass",
    short_names: &["sc"],
    scope: Scope::Cluster,
    schema: "io.k8s.api.storage.v1.StorageClass",
    strategy: Strategy {
        default: |object| {
            default(object, "reclaimPolicy", || "Delete".into());
            default(object, "volumeBindingMode", || "Immediate".into());
        },
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
                findings.immutable_unshown(Path::root(field), &new[field], &old[field]);
            }
            findings.done()
        },
        ..Strategy::PLAIN
    },
    name_cell: Some(|object| {
        let name = text(&object["metadata"], "name");
        let default = text(&object["metadata"]["annotations"], "storageclass.kubernetes.io/is-default-class") == "true";
        if default { format!("{name} (default)") } else { name.to_owned() }
    }),
    columns: &[
        column("Provisioner"),
        column("ReclaimPolicy"),
        column("VolumeBindingMode"),
        column("AllowVolumeExpansion"),
        column("Age"),
    ],
    cells,
    returns_deleted: true,
    ..Kind::BASE
};

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let provisioner = text(object, "provisioner");
    let at = Path::root("provisioner");
    match provisioner {
        "" => findings.required(at, ""),
        provisioner => {
            let lower = provisioner.to_lowercase();
            findings.names(at, &lower, names::qualified_name(&lower));
        }
    }
    let at = Path::root("parameters");
    let mut bytes = 0;
    let mut count = 0;
    for (key, value) in entries(object, "parameters") {
        if key.is_empty() {
            findings.invalid(at, key, "field can not be empty.");
        }
        count += 1;
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if count > PARAMETERS_MAX {
        findings.too_long(at, PARAMETERS_MAX);
    } else if bytes > PARAMETERS_BYTES_MAX {
        findings.too_long(at, PARAMETERS_BYTES_MAX);
    }
    findings.one_of(Path::root("reclaimPolicy"), text(object, "reclaimPolicy"), &["Delete", "Retain"]);
    if has(object, "volumeBindingMode") {
        let mode = text(object, "volumeBindingMode");
        findings.one_of(Path::root("volumeBindingMode"), mode, &["Immediate", "WaitForFirstConsumer"]);
    } else {
        findings.required(Path::root("volumeBindingMode"), "");
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    vec![
        text(object, "provisioner").into(),
        text(object, "reclaimPolicy").into(),
        text(object, "volumeBindingMode").into(),
        is_true(object, "allowVolumeExpansion").into(),
        age(object, now_us),
    ]
}
