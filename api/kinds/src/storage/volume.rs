//! PersistentVolume.

use serde_json::{Value, json};

use super::{VOLUME_MODES, access_modes, short_modes};
use crate::equality::same;
use crate::findings::Findings;
use crate::kind::{age, column, keep_all_but_status, keep_status, status, wide};
use crate::path::{Path, count, default, default_text, entries, has, part, set, text};
use crate::pod::node_selector;
use crate::quantity::{Quantity, canonicalize_list};
use crate::{Causes, Cell, Kind, Scope, Strategy, names};

/// PersistentVolume.
pub static PERSISTENT_VOLUME: Kind = Kind {
    kind: "PersistentVolume",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    short_names: &["pv"],
    scope: Scope::Cluster,
    schema: "io.k8s.api.core.v1.PersistentVolume",
    subresources: &[status("PersistentVolume")],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            let now = object["metadata"]["creationTimestamp"].clone();
            set(object, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": now}));
        },
        prepare_update: keep_status,
        prepare_status: keep_all_but_status,
        validate,
        validate_update,
        ..Strategy::PLAIN
    },
    columns: &[
        column("Capacity"),
        column("Access Modes"),
        column("Reclaim Policy"),
        column("Status"),
        column("Claim"),
        column("StorageClass"),
        column("VolumeAttributesClass"),
        column("Reason"),
        column("Age"),
        wide("VolumeMode"),
    ],
    cells,
    returns_deleted: true,
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");
/// Fields of a spec that name what the volume is.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

fn set_defaults(object: &mut Value) {
    if let Some(spec) = part(object, "spec") {
        default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        default(spec, "volumeMode", || "Filesystem".into());
        if let Some(capacity) = part(spec, "capacity") {
            canonicalize_list(capacity);
        }
        if let Some(path) = part(spec, "hostPath") {
            default(path, "type", || "".into());
        }
    }
    if let Some(status) = part(object, "status") {
        default_text(status, "phase", "Pending");
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    access_modes(spec, "", SPEC, &mut findings);
    let at = SPEC.field("capacity");
    if count(spec, "capacity") == 0 {
        findings.required(at, "");
    }
    if !has(&spec["capacity"], "storage") || count(spec, "capacity") > 1 {
        findings.unsupported(at, &spec["capacity"], &["storage"]);
    }
    for (name, amount) in entries(spec, "capacity") {
        if Quantity::of_json(amount).is_none_or(|size| !size.sign().is_gt()) {
            findings.invalid(at.key(name), amount, "must be greater than zero");
        }
    }
    let policy = text(spec, "persistentVolumeReclaimPolicy");
    findings.one_of(SPEC.field("persistentVolumeReclaimPolicy"), policy, &["Delete", "Recycle", "Retain"]);
    if has(spec, "nodeAffinity") {
        let at = SPEC.field("nodeAffinity");
        let required = &spec["nodeAffinity"]["required"];
        if required.is_object() {
            node_selector(required, at.field("required"), &mut findings);
        } else {
            findings.required(at.field("required"), "must specify required node constraints");
        }
    }
    source(spec, &mut findings);
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        findings.names(SPEC.field("storageClassName"), class, names::dns1123_subdomain(class));
    }
    if has(spec, "volumeMode") {
        findings.one_of(SPEC.field("volumeMode"), text(spec, "volumeMode"), VOLUME_MODES);
    }
    findings.done()
}

fn source(spec: &Value, findings: &mut Findings) {
    let mut sources = 0;
    for name in SOURCES.iter().filter(|name| has(spec, name)) {
        sources += 1;
        let (source, at) = (&spec[*name], SPEC.field(name));
        if sources > 1 {
            findings.forbidden(at, "may not specify more than 1 volume type");
            continue;
        }
        let required: &[&str] = match *name {
            "hostPath" | "local" => &["path"],
            "nfs" => &["server", "path"],
            "csi" => &["driver", "volumeHandle"],
            _ => &[],
        };
        for field in required.iter().filter(|field| text(source, field).is_empty()) {
            findings.required(at.field(field), "");
        }
        if *name == "local" && !has(spec, "nodeAffinity") {
            findings.required(SPEC.field("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    if sources == 0 {
        findings.required(SPEC, "must specify a volume type");
    }
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let (new, old) = (&new["spec"], &old["spec"]);
    if SOURCES.iter().any(|name| !same(&new[*name], &old[*name])) {
        let at = Path::root("spec.persistentvolumesource");
        findings.forbidden(at, "spec.persistentvolumesource is immutable after creation");
    }
    findings.immutable(Path::root("volumeMode"), &new["volumeMode"], &old["volumeMode"]);
    if has(old, "nodeAffinity") {
        findings.immutable(Path::root("nodeAffinity"), &new["nodeAffinity"], &old["nodeAffinity"]);
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let phase = if has(&object["metadata"], "deletionTimestamp") { "Terminating" } else { text(status, "phase") };
    let unset = |field: &str| if has(spec, field) { text(spec, field) } else { "<unset>" };
    let claim = match &spec["claimRef"] {
        Value::Null => String::new(),
        claim => format!("{}/{}", text(claim, "namespace"), text(claim, "name")),
    };
    vec![
        Quantity::of_json(&spec["capacity"]["storage"]).unwrap_or_default().to_string().into(),
        short_modes(spec).into(),
        text(spec, "persistentVolumeReclaimPolicy").into(),
        phase.into(),
        claim.into(),
        text(spec, "storageClassName").into(),
        unset("volumeAttributesClassName").into(),
        text(status, "reason").into(),
        age(object, now_us),
        unset("volumeMode").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_judged_as_kubernetes_judges_them() {
        let check = |change: fn(&mut Value), expected: &[&str]| {
            let mut object = json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}}});
            change(&mut object["spec"]);
            set_defaults(&mut object);
            let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(|_| {}, &[]);
        check(|s| drop(crate::path::remove(s, "hostPath")), &["spec: Required value: must specify a volume type"]);
        check(
            |s| s["nfs"] = json!({"server": "s", "path": "/"}),
            &["spec.nfs: Forbidden: may not specify more than 1 volume type"],
        );
    }
}
