//! How others find the keys that tokens are signed with (OpenID Connect discovery, as Kubernetes serves it).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{ISSUER, TokenKeys};

/// A document and its media type; `None` for other paths.
pub(crate) fn document(keys: &dyn TokenKeys, path: &str) -> Option<(Value, &'static str)> {
    match path {
        "/.well-known/openid-configuration" => {
            let document = json!({
                "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/openid/v1/jwks"), "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["EdDSA"],
            });
            Some((document, "application/json"))
        }
        "/openid/v1/jwks" => {
            let key = |key: super::PublicKey| {
                json!({
                    "use": "sig", "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": key.id,
                    "x": URL_SAFE_NO_PAD.encode(key.bytes),
                })
            };
            let keys: Vec<Value> = keys.public().into_iter().map(key).collect();
            Some((json!({"keys": keys}), "application/jwk-set+json"))
        }
        _ => None,
    }
}
