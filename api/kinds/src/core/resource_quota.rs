//! ResourceQuota. Stored and judged; nothing enforces it yet.

use serde_json::Value;

use crate::findings::{Findings, IMMUTABLE};
use crate::kind::{age, column, keep_all_but_status, keep_status, status};
use crate::path::{Path, entries, items, part, text};
use crate::pod::{check_quantity, is_standard_resource, resource_name};
use crate::quantity::{Quantity, canonicalize_list};
use crate::{Causes, Cell, Kind, Strategy};

/// ResourceQuota.
pub static RESOURCE_QUOTA: Kind = Kind {
    kind: "ResourceQuota",
    plural: "resourcequotas",
    singular: "resourcequota",
    short_names: &["quota"],
    schema: "io.k8s.api.core.v1.ResourceQuota",
    subresources: &[status("ResourceQuota")],
    strategy: Strategy {
        default: |object| {
            for (section, lists) in [("spec", &["hard"][..]), ("status", &["hard", "used"])] {
                for list in lists {
                    if let Some(list) = part(object, section).and_then(|s| part(s, list)) {
                        canonicalize_list(list);
                    }
                }
            }
        },
        prepare_create: crate::kind::drop_status,
        prepare_update: keep_status,
        prepare_status: keep_all_but_status,
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            let scopes = |object: &Value| {
                let mut scopes: Vec<String> = items(&object["spec"], "scopes").iter().map(Value::to_string).collect();
                scopes.sort();
                scopes
            };
            if scopes(new) != scopes(old) {
                findings.invalid(Path::root("spec.scopes"), &new["spec"]["scopes"], IMMUTABLE);
            }
            findings.done()
        },
        validate_status: |new, _| {
            let mut findings = Findings::default();
            for list in ["hard", "used"] {
                amounts(&new["status"], list, Path::root("status"), &mut findings);
            }
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[column("Request"), column("Limit"), column("Age")],
    cells,
    returns_deleted: true,
    ..Kind::BASE
};

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

fn amounts(section: &Value, list: &str, at: Path<'_>, findings: &mut Findings) {
    let at = at.field(list);
    for (name, amount) in entries(section, list) {
        resource_name(name, at.key(name), findings);
        if !name.contains('/') && !is_quota_resource(name) {
            findings.invalid(at.key(name), name, "must be a standard resource for quota");
        }
        check_quantity(name, amount, at.key(name), findings);
    }
}

/// Whether the API counts a resource of this unqualified name.
fn is_quota_resource(name: &str) -> bool {
    is_standard_resource(name) && name != "storage"
}

/// Whether a scope narrows down a resource at all.
fn narrows(scope: &str, resource: &str) -> bool {
    let computing = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    match scope {
        "BestEffort" => resource == "pods",
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            resource == "pods" || computing.contains(&resource)
        }
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let (spec, at) = (&object["spec"], Path::root("spec"));
    amounts(spec, "hard", at, &mut findings);
    let scopes: Vec<&str> = items(spec, "scopes").iter().filter_map(Value::as_str).collect();
    let at_scopes = at.field("scopes");
    for _ in scopes.iter().filter(|scope| !SCOPES.contains(scope)) {
        findings.invalid(at_scopes, &spec["scopes"], "unsupported scope");
    }
    for scope in &scopes {
        let limited = entries(spec, "hard").map(|(name, _)| name).filter(|name| is_quota_resource(name));
        for _ in limited.filter(|name| !narrows(scope, name)) {
            findings.invalid(at_scopes, &spec["scopes"], "unsupported scope applied to resource");
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            findings.invalid(at_scopes, &spec["scopes"], "conflicting scopes");
        }
    }
    let at_selector = at.field("scopeSelector");
    let at = at_selector.field("matchExpressions");
    for requirement in items(&spec["scopeSelector"], "matchExpressions") {
        let scope = text(requirement, "scopeName");
        if !SCOPES.contains(&scope) {
            findings.invalid(at.field("scopeName"), scope, "unsupported scope");
        }
        let values = items(requirement, "values");
        match text(requirement, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                let message = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                findings.required(at.field("values"), message);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let message = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                findings.invalid(at.field("values"), &requirement["values"], message);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => findings.invalid(at.field("operator"), other, "not a valid selector operator"),
        }
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let status = &object["status"];
    let mut names: Vec<&str> = entries(status, "hard").map(|(name, _)| name).collect();
    names.sort_unstable();
    let amount = |list: &str, name: &str| Quantity::of_json(&status[list][name]).unwrap_or_default();
    let shown = |limits: bool| {
        let chosen = names.iter().filter(|name| name.starts_with("limits.") == limits);
        let parts: Vec<String> =
            chosen.map(|name| format!("{name}: {}/{}", amount("used", name), amount("hard", name))).collect();
        parts.join(", ")
    };
    vec![shown(false).into(), shown(true).into(), age(object, now_us)]
}
