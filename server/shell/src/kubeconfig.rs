//! The kubeconfig that a cluster hands to its administrator.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::pki::Pair;

/// A kubeconfig with everything embedded. JSON is YAML, and every client reads it.
pub fn administrator(server: &str, ca_pem: &str, admin: &Pair) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "trireme",
            "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(ca_pem)},
        }],
        "users": [{
            "name": "admin",
            "user": {
                "client-certificate-data": STANDARD.encode(&admin.cert_pem),
                "client-key-data": STANDARD.encode(&admin.key_pem),
            },
        }],
        "contexts": [{"name": "trireme", "context": {"cluster": "trireme", "user": "admin"}}],
        "current-context": "trireme",
    });
    format!("{config:#}\n")
}
