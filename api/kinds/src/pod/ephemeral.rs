//! `pods/ephemeralcontainers`: containers for a look into a pod that runs (KEP-277). They are added there, and stay as they
//! are as long as the pod.

use serde_json::Value;

use crate::Causes;
use crate::equality::same;
use crate::findings::Findings;
use crate::kind::bump_generation;
use crate::path::{Path, items, part, remove, set, text};

const FIELD: &str = "ephemeralContainers";

/// Everything else stands as it was.
pub fn prepare(new: &mut Value, old: &Value) {
    let wanted = part(new, "spec").and_then(|spec| remove(spec, FIELD));
    let managers = part(new, "metadata").and_then(|metadata| remove(metadata, "managedFields"));
    *new = old.clone();
    if let Some(spec) = part(new, "spec") {
        match wanted {
            Some(wanted) => set(spec, FIELD, wanted),
            None => drop(remove(spec, FIELD)),
        }
    }
    if let (Some(metadata), Some(managers)) = (part(new, "metadata"), managers) {
        set(metadata, "managedFields", managers);
    }
    bump_generation(new, old);
}

/// A pod begins without.
pub(super) fn validate_create(pod: &Value) -> Causes {
    let mut findings = Findings::default();
    if !items(&pod["spec"], FIELD).is_empty() {
        findings.forbidden(Path::root("spec").field(FIELD), "cannot be set on create");
    }
    findings.done()
}

/// Findings about an update: those that are there stay.
pub fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let at = Path::root("spec");
    for before in items(&old["spec"], FIELD) {
        let name = text(before, "name");
        let message = match items(&new["spec"], FIELD).iter().find(|container| text(container, "name") == name) {
            None => "removed",
            Some(after) if !same(after, before) => "changed",
            Some(_) => continue,
        };
        findings.forbidden(at.field(FIELD), &format!("existing ephemeral containers {name:?} may not be {message}\n"));
    }
    findings.done()
}
