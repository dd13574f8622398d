//! Encryption of sensitive values: a port, implemented where the keys are.

use bytes::Bytes;

use crate::Payload;

/// The cluster's keys for sealed values. The same on every member, so that apply gives equal states.
pub trait Keyring: Send + Sync + 'static {
    /// Opens a sealed value; `None` when no key opens it or it was tampered with. The associated data is `key`.
    fn open(&self, key: &[u8], key_id: u32, nonce: &[u8; 12], ciphertext: &[u8]) -> Option<Bytes>;

    /// Seals an object's JSON under the newest key, with a fresh nonce. Called before a proposal, never at apply.
    fn seal(&self, key: &[u8], json: &[u8], splice_at: u32) -> Payload;
}
