//! PersistentVolumeClaim.

use serde_json::{Value, json};

use super::{VOLUME_MODES, access_modes, short_modes};
use crate::equality::same;
use crate::findings::Findings;
use crate::kind::{age, column, keep_all_but_status, keep_status, status, wide};
use crate::path::{Path, default, default_text, has, part, remove, set, text};
use crate::quantity::{Quantity, canonicalize_list};
use crate::{Causes, Cell, Kind, Strategy, names, selector};

/// PersistentVolumeClaim.
pub static PERSISTENT_VOLUME_CLAIM: Kind = Kind {
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    schema: "io.k8s.api.core.v1.PersistentVolumeClaim",
    subresources: &[status("PersistentVolumeClaim")],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            set(object, "status", json!({"phase": "Pending"}));
            if let Some(spec) = part(object, "spec") {
                agree_on_source(spec);
            }
        },
        prepare_update: keep_status,
        prepare_status: keep_all_but_status,
        validate: |object| {
            let mut findings = Findings::default();
            validate_spec(&object["spec"], SPEC, &mut findings);
            findings.done()
        },
        validate_update,
        ..Strategy::PLAIN
    },
    columns: &[
        column("Status"),
        column("Volume"),
        column("Capacity"),
        column("Access Modes"),
        column("StorageClass"),
        column("VolumeAttributesClass"),
        column("Age"),
        wide("VolumeMode"),
    ],
    cells,
    returns_deleted: true,
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Fills in what a claim, or a template of one, leaves out.
pub(crate) fn set_defaults(claim: &mut Value) {
    if let Some(spec) = part(claim, "spec") {
        default_spec(spec);
    }
    default(claim, "status", || json!({}));
    let status = &mut claim["status"];
    default_text(status, "phase", "Pending");
    for list in ["capacity", "allocatedResources"] {
        if let Some(list) = part(status, list) {
            canonicalize_list(list);
        }
    }
}

/// Fills in what a claim's spec leaves out.
pub(crate) fn default_spec(spec: &mut Value) {
    default(spec, "volumeMode", || "Filesystem".into());
    for list in ["limits", "requests"] {
        if let Some(list) = part(spec, "resources").and_then(|r| part(r, list)) {
            canonicalize_list(list);
        }
    }
}

/// The older name of the data source takes no more than it ever did; both names say the same.
fn agree_on_source(spec: &mut Value) {
    let old = &spec["dataSource"];
    let known = match (text(old, "kind"), text(old, "apiGroup")) {
        ("PersistentVolumeClaim", group) => group.is_empty(),
        ("VolumeSnapshot", group) => group == "snapshot.storage.k8s.io",
        _ => false,
    };
    if !known {
        remove(spec, "dataSource");
    }
    let other_namespace = !text(&spec["dataSourceRef"], "namespace").is_empty();
    for (from, to) in [("dataSource", "dataSourceRef"), ("dataSourceRef", "dataSource")] {
        if has(spec, from) && !has(spec, to) && !other_namespace {
            let source = spec[from].clone();
            set(spec, to, source);
        }
    }
}

/// Findings about a claim's spec.
pub(crate) fn validate_spec(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    access_modes(spec, "at least 1 access mode is required", at, findings);
    selector::validate(&spec["selector"], at.field("selector"), findings);
    let wanted = &spec["resources"]["requests"]["storage"];
    let at_resources = at.field("resources");
    let at_storage = at_resources.key("storage");
    match Quantity::of_json(wanted) {
        None => findings.required(at_storage, ""),
        Some(size) if !size.sign().is_gt() => findings.invalid(at_storage, wanted, "must be greater than zero"),
        Some(_) => {}
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let class = text(spec, field);
        if !class.is_empty() {
            findings.names(at.field(field), class, names::dns1123_subdomain(class));
        }
    }
    if has(spec, "volumeMode") {
        findings.one_of(at.field("volumeMode"), text(spec, "volumeMode"), VOLUME_MODES);
    }
    for field in ["dataSource", "dataSourceRef"].into_iter().filter(|field| has(spec, field)) {
        source(&spec[field], at.field(field), findings);
    }
    if !text(&spec["dataSourceRef"], "namespace").is_empty() {
        if has(spec, "dataSource") {
            findings.invalid(at, "dataSource", "may not be specified when dataSourceRef.namespace is specified");
        }
    } else if has(spec, "dataSource")
        && has(spec, "dataSourceRef")
        && !same(&spec["dataSource"], &spec["dataSourceRef"])
    {
        findings.invalid(at, "dataSource", "must match dataSourceRef");
    }
}

fn source(source: &Value, at: Path<'_>, findings: &mut Findings) {
    for field in ["name", "kind"] {
        if text(source, field).is_empty() {
            findings.required(at.field(field), "");
        }
    }
    let (group, kind) = (text(source, "apiGroup"), text(source, "kind"));
    if group.is_empty() {
        if kind != "PersistentVolumeClaim" {
            findings.invalid(at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
        }
    } else {
        findings.names(at.field("apiGroup"), group, names::dns1123_subdomain(group));
    }
}

/// A claim stays what it is; once it is bound, it may ask for more, and for other attributes.
fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let bound = text(&new["status"], "phase") == "Bound";
    let (mut munged, before) = (new["spec"].clone(), &old["spec"]);
    if text(before, "volumeName").is_empty() {
        restore(&mut munged, before, "volumeName");
    }
    if !has(before, "storageClassName") && text(&old["metadata"]["annotations"], OLD_CLASS).is_empty() {
        restore(&mut munged, before, "storageClassName");
    }
    if bound {
        restore(&mut munged, before, "volumeAttributesClassName");
        if let Some(requests) = part(&mut munged, "resources").and_then(|r| part(r, "requests")) {
            restore(requests, &before["resources"]["requests"], "storage");
        }
    }
    if !same(&munged, before) {
        let message =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        findings.forbidden(SPEC, message);
    }
    let size = |spec: &Value| Quantity::of_json(&spec["resources"]["requests"]["storage"]).unwrap_or_default();
    let given = Quantity::of_json(&old["status"]["capacity"]["storage"]).unwrap_or_default();
    if size(&new["spec"]) < size(before) && size(&new["spec"]) <= given {
        let at = Path::root("spec.resources.requests.storage");
        findings.forbidden(at, "field can not be less than status.capacity");
    }
    findings.immutable(Path::root("volumeMode"), &new["spec"]["volumeMode"], &before["volumeMode"]);
    findings.done()
}

fn restore(value: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(before) => set(value, field, before.clone()),
        None => drop(remove(value, field)),
    }
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let phase = if has(&object["metadata"], "deletionTimestamp") { "Terminating" } else { text(status, "phase") };
    let unset = |field: &str| if has(spec, field) { text(spec, field) } else { "<unset>" };
    let bound = !text(spec, "volumeName").is_empty();
    let capacity = Quantity::of_json(&status["capacity"]["storage"]).unwrap_or_default().to_string();
    let class = match text(&object["metadata"]["annotations"], OLD_CLASS) {
        "" => text(spec, "storageClassName"),
        class => class,
    };
    vec![
        phase.into(),
        text(spec, "volumeName").into(),
        if bound { capacity } else { String::new() }.into(),
        if bound { short_modes(status) } else { String::new() }.into(),
        class.into(),
        unset("volumeAttributesClassName").into(),
        age(object, now_us),
        unset("volumeMode").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Value {
        let mut claim =
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        set_defaults(&mut claim);
        claim
    }

    #[test]
    fn claims_are_judged_as_kubernetes_judges_them() {
        let check = |change: fn(&mut Value), expected: &[&str]| {
            let mut object = claim();
            change(&mut object["spec"]);
            let found: Vec<String> =
                (PERSISTENT_VOLUME_CLAIM.strategy.validate)(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(|_| {}, &[]);
        check(
            |s| s["accessModes"] = json!([]),
            &["spec.accessModes: Required value: at least 1 access mode is required"],
        );
        check(|s| s["resources"] = json!({}), &["spec.resources[storage]: Required value"]);
        check(
            |s| s["accessModes"] = json!(["Often"]),
            &[
                "spec.accessModes: Unsupported value: \"Often\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            ],
        );
    }

    #[test]
    fn a_bound_claim_may_grow() {
        let check = |phase: &str, size: &str, expected: usize| {
            let mut old = claim();
            old["status"] = json!({"phase": phase, "capacity": {"storage": "1Gi"}});
            let mut new = old.clone();
            new["spec"]["resources"]["requests"]["storage"] = json!(size);
            assert_eq!(validate_update(&new, &old).len(), expected, "{phase} {size}");
        };
        check("Bound", "2Gi", 0);
        check("Bound", "512Mi", 1);
        check("Pending", "2Gi", 1);
    }
}
