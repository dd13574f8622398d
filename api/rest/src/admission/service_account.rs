//! ServiceAccount: every pod runs as one, and finds its token, the cluster's authority and its namespace in a volume.

use api_kinds::core::service_account::SERVICE_ACCOUNT;
use serde_json::{Value, json};

use super::{Attributes, Plugin};
use crate::Status;

pub(super) const PLUGIN: Plugin = Plugin { name: "ServiceAccount", admit };

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Seconds a projected token is good for, as kube-apiserver asks.
const TOKEN_EXPIRATION_S: i64 = 3607;

fn admit(a: &mut Attributes<'_>) -> Result<(), Status> {
    if !a.creates("Pod") {
        return Ok(());
    }
    // Static pods are mirrored by their nodes as they are.
    if a.object["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some() {
        return Ok(());
    }
    let name = match a.object["spec"]["serviceAccountName"].as_str() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => {
            a.object["spec"]["serviceAccountName"] = "default".into();
            a.object["spec"]["serviceAccount"] = "default".into();
            "default".to_owned()
        }
    };
    let namespace = a.context.namespace.clone();
    let account = a.look_up(&SERVICE_ACCOUNT.key(&namespace, &name)).ok_or_else(|| {
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        Status::forbidden(a.context.kind, a.name(), &why)
    })?;
    let wanted = a.object["spec"]["automountServiceAccountToken"].as_bool();
    let mounts = wanted.or_else(|| account["automountServiceAccountToken"].as_bool()).unwrap_or(true);
    if mounts {
        mount(a.object, &volume_name(a.object));
    }
    if a.object["spec"]["imagePullSecrets"].is_null() && account["imagePullSecrets"].is_array() {
        a.object["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    Ok(())
}

/// A name for the volume that is the same for the same pod: five characters made of its uid.
fn volume_name(pod: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bits = pod["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let suffix: String = (0..5)
        .map(|_| {
            let letter = ALPHABET[(bits % ALPHABET.len() as u64) as usize];
            bits /= ALPHABET.len() as u64;
            char::from(letter)
        })
        .collect();
    format!("kube-api-access-{suffix}")
}

fn mount(pod: &mut Value, volume: &str) {
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            if mounts.iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            let mut mounts = mounts;
            mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
            container["volumeMounts"] = mounts.into();
            mounted = true;
        }
    }
    if !mounted {
        return;
    }
    let mut volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    volumes.push(json!({
        "name": volume,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_EXPIRATION_S, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ],
            "defaultMode": 420,
        },
    }));
    pod["spec"]["volumes"] = volumes.into();
}
