//! Volumes and claims on them. Stored, defaulted and judged; no provisioner of ours acts on them.

pub mod claim;
pub mod storage_class;
pub mod volume;

use serde_json::Value;

use crate::findings::Findings;
use crate::path::{Path, items};

const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];

/// Findings about access modes.
fn access_modes(spec: &Value, why: &str, at: Path<'_>, findings: &mut Findings) {
    let at = at.field("accessModes");
    let modes: Vec<&str> = items(spec, "accessModes").iter().filter_map(Value::as_str).collect();
    if modes.is_empty() {
        findings.required(at, why);
    }
    for mode in &modes {
        findings.one_of(at, mode, ACCESS_MODES);
    }
    if modes.contains(&"ReadWriteOncePod") && modes.iter().any(|m| *m != "ReadWriteOncePod" && ACCESS_MODES.contains(m))
    {
        findings.forbidden(at, "may not use ReadWriteOncePod with other access modes");
    }
}

/// `RWO,RWX`
fn short_modes(holder: &Value) -> String {
    let has = |mode: &str| items(holder, "accessModes").iter().any(|m| m == mode);
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    short.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}
