//! JSON Web Signatures in their compact form (RFC 7515), with Ed25519 (RFC 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::TokenKeys;

const ALGORITHM: &str = "EdDSA";

/// Signs claims.
pub(super) fn sign(keys: &dyn TokenKeys, claims: &Value) -> String {
    // The header names the key, and is signed with the rest.
    let id = keys.public().first().map(|key| key.id.clone()).unwrap_or_default();
    let header = json!({"alg": ALGORITHM, "kid": id});
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = keys.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The claims of a token that one of the keys has signed.
pub(super) fn open(keys: &dyn TokenKeys, token: &str) -> Option<Value> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    if header["alg"] != ALGORITHM {
        return None;
    }
    if !keys.verify(header["kid"].as_str()?, message.as_bytes(), &decode(signature)?) {
        return None;
    }
    serde_json::from_slice(&decode(claims)?).ok()
}
