//! Validation of a pod's volumes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::containers::pull_policy;
use super::env::{FILE_FIELDS, field_ref, resource_ref};
use crate::findings::Findings;
use crate::path::{Path, has, integer, items, text};
use crate::quantity::Quantity;
use crate::{meta, names, selector, storage};

/// The sound volumes of a pod, by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a Value>;

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const MANY: &str = "may not specify more than 1 volume type";
const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const KEY_TYPES: &[&str] = &["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
/// Volume sources in the order in which Kubernetes looks at them.
const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];
/// Text fields without which a source means nothing.
const REQUIRED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["image"]),
    ("cinder", &["volumeID"]),
    ("quobyte", &["registry", "volume"]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &["volumeName"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("image", &["reference"]),
];

/// Findings about the volumes of a spec; the sound ones. A pod's own name is in the names of claims made for it.
pub(super) fn validate<'a>(spec: &'a Value, pod_name: &str, list: Path<'_>, findings: &mut Findings) -> Volumes<'a> {
    let mut volumes = Volumes::new();
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let at = list.index(index);
        let name = text(volume, "name");
        let mut found = Findings::default();
        source(volume, pod_name, at, &mut found);
        match name {
            "" => found.required(at.field("name"), ""),
            name => found.names(at.field("name"), name, names::dns1123_label(name)),
        }
        if volumes.contains_key(name) {
            found.duplicate(at.field("name"), name);
        }
        if found.is_empty() {
            volumes.insert(name, volume);
        } else {
            findings.extend(found.done());
        }
    }
    volumes
}

fn source(volume: &Value, pod_name: &str, at: Path<'_>, findings: &mut Findings) {
    let mut sources = 0;
    for name in SOURCES.iter().filter(|name| has(volume, name)) {
        sources += 1;
        let at_source = at.field(name);
        if sources > 1 {
            findings.forbidden(at_source, MANY);
            continue;
        }
        let source = &volume[*name];
        for field in REQUIRED.iter().filter(|(n, _)| n == name).flat_map(|(_, fields)| *fields) {
            if text(source, field).is_empty() {
                findings.required(at_source.field(field), "");
            }
        }
        match *name {
            "emptyDir" => empty_dir(source, at_source, findings),
            "hostPath" => host_path(source, at_source, findings),
            "secret" | "configMap" => files(source, at_source, findings),
            "nfs" if !text(source, "path").starts_with('/') => {
                findings.invalid(at_source.field("path"), text(source, "path"), "must be an absolute path");
            }
            "downwardAPI" => {
                mode(source, "defaultMode", at_source, findings);
                for file in items(source, "items") {
                    downward_file(file, at_source, findings);
                }
            }
            "projected" => projected(source, at_source, findings),
            "ephemeral" => ephemeral(source, text(volume, "name"), pod_name, at, findings),
            "image" => pull_policy(source, "pullPolicy", at_source, findings),
            _ => {}
        }
    }
    if sources == 0 {
        findings.required(at, "must specify a volume type");
    }
}

fn empty_dir(source: &Value, at: Path<'_>, findings: &mut Findings) {
    if Quantity::of_json(&source["sizeLimit"]).is_some_and(|limit| limit.sign().is_lt()) {
        findings.forbidden(at.field("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
    if source["mode"].as_i64().is_some_and(|mode| !(0..=0o1777).contains(&mode)) {
        let message = "must be a number between 0 and 01777 (octal), both inclusive";
        findings.invalid(at.field("mode"), &source["mode"], message);
    }
}

fn host_path(source: &Value, at: Path<'_>, findings: &mut Findings) {
    let path = text(source, "path");
    if path.is_empty() {
        return findings.required(at.field("path"), "");
    }
    if !no_backsteps(path) {
        findings.invalid(at.field("path"), path, "must not contain '..'");
    }
    if has(source, "type") {
        findings.one_of(at.field("type"), text(source, "type"), HOST_PATH_TYPES);
    }
}

fn files(source: &Value, at: Path<'_>, findings: &mut Findings) {
    mode(source, "defaultMode", at, findings);
    let list = at.field("items");
    for (index, item) in items(source, "items").iter().enumerate() {
        key_to_path(item, list.index(index), findings);
    }
}

fn key_to_path(item: &Value, at: Path<'_>, findings: &mut Findings) {
    for field in ["key", "path"] {
        if text(item, field).is_empty() {
            findings.required(at.field(field), "");
        }
    }
    local_path(text(item, "path"), at.field("path"), findings);
    mode(item, "mode", at, findings);
}

fn mode(value: &Value, field: &str, at: Path<'_>, findings: &mut Findings) {
    if value[field].as_i64().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        findings.invalid(at.field(field), &value[field], MODE);
    }
}

fn downward_file(file: &Value, at: Path<'_>, findings: &mut Findings) {
    let path = text(file, "path");
    if path.is_empty() {
        findings.required(at.field("path"), "");
    }
    local_path(path, at.field("path"), findings);
    match (has(file, "fieldRef"), has(file, "resourceFieldRef")) {
        (true, both) => {
            field_ref(&file["fieldRef"], FILE_FIELDS, at.field("fieldRef"), findings);
            if both {
                findings.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
        (false, true) => resource_ref(&file["resourceFieldRef"], true, at.field("resourceFieldRef"), findings),
        (false, false) => findings.required(at, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(file, "mode", at, findings);
}

/// A relative path that stays where it is.
pub(super) fn relative_path(path: &str, at: Path<'_>, findings: &mut Findings) {
    if path.starts_with('/') {
        findings.invalid(at, path, "must be a relative path");
    }
    if !no_backsteps(path) {
        findings.invalid(at, path, "must not contain '..'");
    }
}

fn local_path(path: &str, at: Path<'_>, findings: &mut Findings) {
    relative_path(path, at, findings);
    if path.starts_with("..") && !path.starts_with("../") {
        findings.invalid(at, path, "must not start with '..'");
    }
}

/// Whether no segment of a path goes up.
pub(super) fn no_backsteps(path: &str) -> bool {
    path.split('/').all(|segment| segment != "..")
}

fn projected(source: &Value, at: Path<'_>, findings: &mut Findings) {
    mode(source, "defaultMode", at, findings);
    let list = at.field("sources");
    let mut paths: Vec<&str> = Vec::new();
    for (index, one) in items(source, "sources").iter().enumerate() {
        let at_source = list.index(index);
        for kind in ["secret", "configMap"].into_iter().filter(|kind| has(one, kind)) {
            let (source, at_kind) = (&one[kind], at_source.field(kind));
            if text(source, "name").is_empty() {
                findings.required(at_kind.field("name"), "");
            }
            files(source, at_kind, findings);
            for item in items(source, "items") {
                once(text(item, "path"), text(source, "name"), &mut paths, at, findings);
            }
        }
        for file in items(&one["downwardAPI"], "items") {
            downward_file(file, at_source.field("downwardAPI"), findings);
            once(text(file, "path"), text(file, "path"), &mut paths, at, findings);
        }
        if has(one, "serviceAccountToken") {
            token(&one["serviceAccountToken"], at_source.field("serviceAccountToken"), at, findings);
        }
        if has(one, "clusterTrustBundle") {
            let bundle = &one["clusterTrustBundle"];
            trust_bundle(bundle, at_source.field("clusterTrustBundle"), findings);
            once(text(bundle, "path"), text(bundle, "path"), &mut paths, at, findings);
        }
        if has(one, "podCertificate") {
            let certificate = &one["podCertificate"];
            findings.one_of(
                at_source.field("podCertificate").field("keyType"),
                text(certificate, "keyType"),
                KEY_TYPES,
            );
        }
        if one.as_object().map_or(0, |map| map.values().filter(|v| !v.is_null()).count()) > 1 {
            findings.forbidden(at_source, "may not specify more than 1 volume type per source");
        }
    }
}

/// A path that no other source of the same volume has taken.
fn once<'a>(path: &'a str, shown: &str, paths: &mut Vec<&'a str>, at: Path<'_>, findings: &mut Findings) {
    if path.is_empty() {
        return;
    }
    if paths.contains(&path) {
        findings.invalid(at, shown, "conflicting duplicate paths");
    } else {
        paths.push(path);
    }
}

fn token(token: &Value, at: Path<'_>, volume: Path<'_>, findings: &mut Findings) {
    match token["expirationSeconds"].as_i64() {
        None => findings.required(at.field("expirationSeconds"), ""),
        Some(seconds) if seconds < 600 => {
            findings.invalid(at.field("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
        }
        Some(seconds) if seconds > 1 << 32 => {
            let message = "may not specify a duration larger than 2^32 seconds";
            findings.invalid(at.field("expirationSeconds"), seconds, message);
        }
        Some(_) => {}
    }
    match text(token, "path") {
        "" => findings.required(volume.field("path"), ""),
        path => local_path(path, volume.field("path"), findings),
    }
}

fn trust_bundle(bundle: &Value, at: Path<'_>, findings: &mut Findings) {
    match (has(bundle, "name"), has(bundle, "signerName")) {
        (true, true) => findings.invalid(at, bundle, "only one of name and signerName may be used"),
        (true, false) => {
            if text(bundle, "name").is_empty() {
                findings.required(at.field("name"), "must be a valid object name");
            }
            if has(bundle, "labelSelector") {
                let message = "labelSelector must be unset if name is specified";
                findings.invalid(at.field("labelSelector"), &bundle["labelSelector"], message);
            }
        }
        (false, true) => {
            if text(bundle, "signerName").is_empty() {
                findings.required(at.field("signerName"), "must be a valid signer name");
            }
            selector::validate(&bundle["labelSelector"], at.field("labelSelector"), findings);
        }
        (false, false) => findings.required(at, "either name or signerName must be specified"),
    }
    if text(bundle, "path").is_empty() {
        findings.required(at.field("path"), "");
    }
    local_path(text(bundle, "path"), at.field("path"), findings);
}

fn ephemeral(source: &Value, name: &str, pod_name: &str, at: Path<'_>, findings: &mut Findings) {
    let at_source = at.field("ephemeral");
    let at_template = at_source.field("volumeClaimTemplate");
    let template = &source["volumeClaimTemplate"];
    if !template.is_object() {
        findings.required(at_template, "");
    } else {
        meta::annotations(&template["metadata"], at_template.field("metadata"), "annotations", findings);
        meta::labels(&template["metadata"], at_template.field("metadata"), "labels", findings);
        storage::claim::validate_spec(&template["spec"], at_template.field("spec"), findings);
    }
    if !pod_name.is_empty() && !name.is_empty() {
        let claim = format!("{pod_name}-{name}");
        for message in names::dns1123_subdomain(&claim) {
            findings.invalid(at.field("name"), name, &format!("PVC name {claim:?}: {message}"));
        }
    }
}

/// Volumes that hold files of variables must be empty directories (KEP-3721).
pub(super) fn file_keys(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let all = items(spec, "volumes");
    for list in ["initContainers", "containers"] {
        let at_list = at.field(list);
        for (index, container) in items(spec, list).iter().enumerate() {
            let at_container = at_list.index(index);
            let at_env = at_container.field("env");
            for (index, variable) in items(container, "env").iter().enumerate() {
                let reference = &variable["valueFrom"]["fileKeyRef"];
                let name = text(reference, "volumeName");
                if name.is_empty() {
                    continue;
                }
                let at_variable = at_env.index(index);
                let at_from = at_variable.field("valueFrom");
                let at_reference = at_from.field("fileKeyRef");
                match all.iter().find(|v| text(v, "name") == name) {
                    None => findings.not_found(at_reference.field("volumeName"), name),
                    Some(volume) if !has(volume, "emptyDir") => {
                        let message = "referenced volume must be of type emptyDir";
                        findings.invalid(at_reference.field("volumeName"), name, message);
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// Tokens are made for a service account: a pod needs one to have them projected.
pub(super) fn tokens_need_account(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    if !text(spec, "serviceAccountName").is_empty() {
        return;
    }
    let list = at.field("volumes");
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let at_volume = list.index(index);
        let at_projected = at_volume.field("projected");
        let at_sources = at_projected.field("sources");
        for (index, source) in items(&volume["projected"], "sources").iter().enumerate() {
            if has(source, "serviceAccountToken") {
                let message = "must not be specified when serviceAccountName is not set";
                findings.forbidden(at_sources.index(index).field("serviceAccountToken"), message);
            }
        }
    }
}

/// Whether a number lies outside what a Unix id may be.
pub(super) fn id(value: &Value, field: &str, at: Path<'_>, findings: &mut Findings) {
    if has(value, field) {
        for message in names::in_range(integer(value, field), 0, i64::from(i32::MAX)) {
            findings.invalid(at.field(field), &value[field], &message);
        }
    }
}
