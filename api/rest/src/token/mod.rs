//! ServiceAccount tokens: JSON Web Tokens that the cluster signs and knows again, bound to an account and perhaps to a
//! pod, Secret or node; they end with whatever they are bound to.
//!
//! Claims are Kubernetes' own, so that whoever reads them there reads them here.

pub(crate) mod authenticate;
pub(crate) mod claims;
pub(crate) mod discovery;
mod jwt;

/// Whose tokens they are (`iss`), and whom they are for (`aud`) unless a request says otherwise.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The cluster's keys for tokens. All members have the same.
pub trait TokenKeys: Send + Sync {
    /// Signs with the first of the [public](TokenKeys::public) keys.
    fn sign(&self, message: &[u8]) -> Vec<u8>;

    /// Whether a key has signed this.
    fn verify(&self, key_id: &str, message: &[u8], signature: &[u8]) -> bool;

    /// What others need to check signatures, newest first.
    fn public(&self) -> Vec<PublicKey>;
}

/// An Ed25519 key as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// `kid`
    pub id: String,
    /// Its 32 bytes.
    pub bytes: Vec<u8>,
}
