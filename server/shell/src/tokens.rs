//! The keys that ServiceAccount tokens are signed with. They are derived from the keyring of Secrets, which every master has:
//! nothing else is to be handed to a master that joins, and a rotated keyring still knows the tokens of its older keys.

use anyhow::{Context, Result};
use api_rest::token::{self, PublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::keyring::Keyring;

/// Ed25519 keys by id, newest first.
pub struct TokenKeys(Vec<(String, Ed25519KeyPair)>);

impl TokenKeys {
    /// A key for each of the keyring's.
    pub fn derived(keyring: &Keyring) -> Result<Self> {
        let pair = |seed: [u8; 32]| {
            let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok().context("a seed of the wrong length")?;
            let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, pair.public_key().as_ref()));
            Ok((id, pair))
        };
        let pairs = keyring.derived("service account tokens")?.into_iter().map(pair).collect::<Result<_>>()?;
        Ok(Self(pairs))
    }
}

impl token::TokenKeys for TokenKeys {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let (_, pair) = self.0.first().expect("a keyring is never empty");
        pair.sign(message).as_ref().to_vec()
    }

    fn verify(&self, key_id: &str, message: &[u8], signature: &[u8]) -> bool {
        let key = self.0.iter().find(|(id, _)| id == key_id);
        key.is_some_and(|(_, pair)| {
            UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref()).verify(message, signature).is_ok()
        })
    }

    fn public(&self) -> Vec<PublicKey> {
        let public = |(id, pair): &(String, Ed25519KeyPair)| PublicKey {
            id: id.clone(),
            bytes: pair.public_key().as_ref().to_vec(),
        };
        self.0.iter().map(public).collect()
    }
}

#[cfg(test)]
mod tests {
    use api_rest::token::TokenKeys as _;

    use super::*;

    #[test]
    fn masters_with_one_keyring_know_each_others_signatures_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let keys =
            |name: &str| TokenKeys::derived(&Keyring::open_or_generate(&folder.path().join(name)).unwrap()).unwrap();
        let (one, same, other) = (keys("a"), keys("a"), keys("b"));
        let signature = one.sign(b"claims");
        let id = &one.public()[0].id;
        assert!(same.verify(id, b"claims", &signature));
        assert!(!same.verify(id, b"other claims", &signature));
        assert!(!other.verify(id, b"claims", &signature));
        assert!(!other.verify(&other.public()[0].id, b"claims", &signature));
    }
}
