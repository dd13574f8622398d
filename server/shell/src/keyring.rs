//! The keys that Secrets are encrypted with in log, state, snapshots and backups (AES-256-GCM).
//!
//! Every master holds the same keyring in its TLS folder, readable by its owner only; a joiner gets it with its
//! certificates. Backups carry ciphertext and the key ids, not the keys.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use raft_state::Payload;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

impl raft_state::Keyring for Keyring {
    fn open(&self, key: &[u8], key_id: u32, nonce: &[u8; 12], ciphertext: &[u8]) -> Option<Bytes> {
        let (_, _, opener) = self.keys.iter().find(|(id, ..)| *id == key_id)?;
        let mut buffer = ciphertext.to_vec();
        let plain = opener.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(key), &mut buffer).ok()?;
        let length = plain.len();
        buffer.truncate(length);
        Some(buffer.into())
    }

    fn seal(&self, key: &[u8], json: &[u8], splice_at: u32) -> Payload {
        let (key_id, _, sealer) = self.keys.last().expect("a keyring is never empty");
        let mut nonce = [0; 12];
        self.random.fill(&mut nonce).expect("the system's randomness does not fail once it has begun");
        let mut buffer = json.to_vec();
        sealer
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(key), &mut buffer)
            .expect("an object is far below the cipher's limit");
        Payload::Sealed { key_id: *key_id, nonce, ciphertext: buffer.into(), splice_at }
    }
}

const KEY_BYTES: usize = 32;

/// Keys by id; the last one seals, all of them open.
pub struct Keyring {
    keys: Vec<(u32, [u8; KEY_BYTES], LessSafeKey)>,
    random: SystemRandom,
}

impl Keyring {
    /// Reads a keyring, or makes one with a new key.
    pub fn open_or_generate(path: &Path) -> Result<Self> {
        if path.exists() {
            return Self::open(path);
        }
        let mut key = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut key).ok().context("no randomness to be had")?;
        let keyring = Self::from_keys(vec![(1, key)])?;
        keyring.write(path)?;
        Ok(keyring)
    }

    /// Reads a keyring: a line a key, `<id> <base64>`.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut keys = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let parsed = line.split_once(' ').and_then(|(id, key)| {
                Some((id.parse::<u32>().ok()?, STANDARD.decode(key.trim()).ok()?.try_into().ok()?))
            });
            keys.push(parsed.with_context(|| format!("{} holds a damaged key", path.display()))?);
        }
        if keys.is_empty() {
            bail!("{} holds no key", path.display());
        }
        Self::from_keys(keys)
    }

    fn from_keys(keys: Vec<(u32, [u8; KEY_BYTES])>) -> Result<Self> {
        let keys = keys
            .into_iter()
            .map(|(id, key)| {
                let unbound = UnboundKey::new(&AES_256_GCM, &key).ok().context("a key of the wrong length")?;
                Ok((id, key, LessSafeKey::new(unbound)))
            })
            .collect::<Result<_>>()?;
        Ok(Self { keys, random: SystemRandom::new() })
    }

    /// A key for another purpose out of each key, newest first: whoever has the keyring has these too, and a purpose's keys
    /// tell nothing of the keyring's.
    pub fn derived(&self, purpose: &str) -> Result<Vec<[u8; KEY_BYTES]>> {
        let salt = Salt::new(HKDF_SHA256, b"trireme keyring");
        let derive = |(_, key, _): &(u32, [u8; KEY_BYTES], LessSafeKey)| {
            let mut derived = [0; KEY_BYTES];
            let info = [purpose.as_bytes()];
            let filled = salt.extract(key).expand(&info, HKDF_SHA256).and_then(|okm| okm.fill(&mut derived));
            filled.ok().context("a derived key of the wrong length")?;
            Ok(derived)
        };
        self.keys.iter().rev().map(derive).collect()
    }

    /// Writes it where only its owner reads.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let lines: String = self.keys.iter().map(|(id, key, _)| format!("{id} {}\n", STANDARD.encode(key))).collect();
        crate::pki::write_private(path, lines.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use raft_state::Keyring as _;

    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_own_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open_or_generate(&folder.path().join("keys")).unwrap();
        let again = Keyring::open(&folder.path().join("keys")).unwrap();
        let Payload::Sealed { key_id, nonce, ciphertext, .. } = keyring.seal(b"/a", b"secret", 0) else { panic!() };
        assert_eq!(again.open(b"/a", key_id, &nonce, &ciphertext).as_deref(), Some(&b"secret"[..]));
        assert_eq!(again.open(b"/b", key_id, &nonce, &ciphertext), None);
        assert_eq!(again.open(b"/a", key_id + 1, &nonce, &ciphertext), None);
    }
}
