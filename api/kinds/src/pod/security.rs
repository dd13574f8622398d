//! Validation of security contexts.

use serde_json::Value;

use super::volumes::{id, relative_path};
use crate::findings::Findings;
use crate::names;
use crate::path::{Path, has, items, text};

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
const SYSCTL_BYTES_MAX: usize = 253;
const PROFILE_BYTES_MAX: usize = 4095;
const SYSCTL: &str = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// Findings about the security context of a container.
pub(super) fn container(context: &Value, host_users: bool, at: Path<'_>, findings: &mut Findings) {
    if !context.is_object() {
        return;
    }
    id(context, "runAsUser", at, findings);
    id(context, "runAsGroup", at, findings);
    if has(context, "procMount") {
        let mount = text(context, "procMount");
        findings.one_of(at.field("procMount"), mount, &["Default", "Unmasked"]);
        if host_users && mount == "Unmasked" {
            findings.invalid(at.field("procMount"), mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    profiles(context, at, findings);
    if context["allowPrivilegeEscalation"] == false {
        if context["privileged"] == true {
            let message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            findings.invalid(at, context, message);
        }
        if items(&context["capabilities"], "add").iter().any(|c| c == "CAP_SYS_ADMIN") {
            let message = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            findings.invalid(at, context, message);
        }
    }
}

/// Findings about the security context of a pod.
pub(super) fn pod(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let context = &spec["securityContext"];
    let at = at.field("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(context, field, at, findings);
    }
    let list = at.field("supplementalGroups");
    for (index, group) in items(context, "supplementalGroups").iter().enumerate() {
        for message in names::in_range(group.as_i64().unwrap_or(-1), 0, i64::from(i32::MAX)) {
            findings.invalid(list.index(index), group, &message);
        }
    }
    sysctls(context, at.field("sysctls"), findings);
    for (field, supported) in [
        ("fsGroupChangePolicy", ["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", ["Merge", "Strict"]),
        ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
    ] {
        if has(context, field) {
            findings.one_of(at.field(field), text(context, field), &supported);
        }
    }
    profiles(context, at, findings);
}

fn profiles(context: &Value, at: Path<'_>, findings: &mut Findings) {
    if has(context, "seccompProfile") {
        seccomp(&context["seccompProfile"], at.field("seccompProfile"), findings);
    }
    if has(context, "appArmorProfile") {
        app_armor(&context["appArmorProfile"], at.field("appArmorProfile"), findings);
    }
}

fn seccomp(profile: &Value, at: Path<'_>, findings: &mut Findings) {
    let kind = text(profile, "type");
    match kind {
        "" => findings.required(at.field("type"), "type is required when seccompProfile is set"),
        kind => findings.one_of(at.field("type"), kind, PROFILES),
    }
    let at = at.field("localhostProfile");
    match (kind == "Localhost", has(profile, "localhostProfile")) {
        (true, false) => findings.required(at, "must be set when seccomp type is Localhost"),
        (true, true) => relative_path(text(profile, "localhostProfile"), at, findings),
        (false, true) => findings.invalid(at, profile, "can only be set when seccomp type is Localhost"),
        (false, false) => {}
    }
}

fn app_armor(profile: &Value, at: Path<'_>, findings: &mut Findings) {
    let local = text(profile, "localhostProfile");
    let at_local = at.field("localhostProfile");
    match text(profile, "type") {
        "Localhost" => {
            if local.trim().is_empty() {
                findings.required(at_local, "must be set when AppArmor type is Localhost");
            } else if local.trim() != local {
                findings.invalid(at_local, local, "must not be padded with whitespace");
            }
            if local.len() > PROFILE_BYTES_MAX {
                findings.too_long(at_local, PROFILE_BYTES_MAX);
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if has(profile, "localhostProfile") {
                findings.invalid(at_local, local, "can only be set when AppArmor type is Localhost");
            }
        }
        "" => findings.required(at.field("type"), "type is required when appArmorProfile is set"),
        other => findings.unsupported(at.field("type"), other, PROFILES),
    }
}

fn sysctls(context: &Value, list: Path<'_>, findings: &mut Findings) {
    let mut seen = Vec::new();
    for (index, sysctl) in items(context, "sysctls").iter().enumerate() {
        let at = list.index(index);
        let name = text(sysctl, "name");
        if name.is_empty() {
            findings.required(at.field("name"), "");
        } else if !is_sysctl(name) {
            findings.invalid(at.field("name"), name, SYSCTL);
        } else if seen.contains(&name) {
            findings.duplicate(at.field("name"), name);
        }
        seen.push(name);
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let segment = |segment: &str| {
        let bytes = segment.as_bytes();
        matches!((bytes.first(), bytes.last()), (Some(a), Some(b)) if edge(*a) && edge(*b))
            && bytes.iter().all(|b| edge(*b) || matches!(b, b'-' | b'_'))
    };
    name.len() <= SYSCTL_BYTES_MAX && name.split(['.', '/']).all(segment)
}
