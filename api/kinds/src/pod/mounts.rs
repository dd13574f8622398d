//! Validation of what containers mount.

use serde_json::Value;

use super::volumes::{Volumes, no_backsteps, relative_path};
use crate::findings::Findings;
use crate::path::{Path, has, items, text};

/// Findings about a container's `volumeMounts` and `volumeDevices`.
pub(super) fn validate(container: &Value, volumes: &Volumes<'_>, at: Path<'_>, findings: &mut Findings) {
    mounts(container, volumes, at.field("volumeMounts"), findings);
    devices(container, volumes, at.field("volumeDevices"), findings);
}

fn mounts(container: &Value, volumes: &Volumes<'_>, list: Path<'_>, findings: &mut Findings) {
    let devices = items(container, "volumeDevices");
    let mut seen = Vec::new();
    for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
        let at = list.index(index);
        let (name, target) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            findings.required(at.field("name"), "");
        }
        if !volumes.contains_key(name) {
            findings.not_found(at.field("name"), name);
        }
        if target.is_empty() {
            findings.required(at.field("mountPath"), "");
        }
        if seen.contains(&target) {
            findings.invalid(at.field("mountPath"), target, "must be unique");
        }
        seen.push(target);
        if devices.iter().any(|d| text(d, "name") == name) {
            findings.invalid(at.field("name"), name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|d| text(d, "devicePath") == target) {
            findings.invalid(at.field("mountPath"), target, "must not already exist as a path in volumeDevices");
        }
        let (path, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
        if !path.is_empty() {
            relative_path(path, list.field("subPath"), findings);
        }
        if !expression.is_empty() {
            if !path.is_empty() {
                let message = "subPathExpr and subPath are mutually exclusive";
                findings.invalid(at.field("subPathExpr"), expression, message);
            }
            relative_path(expression, list.field("subPathExpr"), findings);
        }
        propagation(mount, container, list, findings);
    }
}

fn propagation(mount: &Value, container: &Value, list: Path<'_>, findings: &mut Findings) {
    let propagation = text(mount, "mountPropagation");
    if has(mount, "mountPropagation") {
        let at = list.field("mountPropagation");
        findings.one_of(at, propagation, &["Bidirectional", "HostToContainer", "None"]);
        if propagation == "Bidirectional" && container["securityContext"]["privileged"] != true {
            findings.forbidden(at, "Bidirectional mount propagation is available only to privileged containers");
        }
    }
    let at = list.field("recursiveReadOnly");
    match text(mount, "recursiveReadOnly") {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if mount["readOnly"] != true {
                findings.forbidden(at, "may only be specified when readOnly is true");
            }
            if !matches!(propagation, "" | "None") {
                findings.forbidden(at, "may only be specified when mountPropagation is None or not specified");
            }
        }
        other => findings.unsupported(at, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(container: &Value, volumes: &Volumes<'_>, list: Path<'_>, findings: &mut Findings) {
    let mounts = items(container, "volumeMounts");
    let (mut names, mut paths) = (Vec::new(), Vec::new());
    for (index, device) in items(container, "volumeDevices").iter().enumerate() {
        let at = list.index(index);
        let (name, path) = (text(device, "name"), text(device, "devicePath"));
        if name.is_empty() {
            findings.required(at.field("name"), "");
        }
        if names.contains(&name) {
            findings.invalid(at.field("name"), name, "must be unique");
        }
        match volumes.get(name) {
            None => findings.not_found(at.field("name"), name),
            Some(volume) if !has(volume, "persistentVolumeClaim") && !has(volume, "ephemeral") => {
                let message = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                findings.invalid(at.field("name"), name, message);
            }
            Some(_) => {}
        }
        if path.is_empty() {
            findings.required(at.field("devicePath"), "");
        }
        if paths.contains(&path) {
            findings.invalid(at.field("devicePath"), path, "must be unique");
        }
        if !no_backsteps(path) {
            findings.invalid(at.field("devicePath"), path, "can not contain backsteps ('..')");
        }
        if mounts.iter().any(|m| text(m, "name") == name) {
            findings.invalid(at.field("name"), name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|m| text(m, "mountPath") == path) {
            findings.invalid(at.field("devicePath"), path, "must not already exist as a path in volumeMounts");
        }
        names.push(name);
        paths.push(path);
    }
}
