//! The keys that Secrets are encrypted with in log, state, snapshots and backups (AES-256-GCM).
//!
//! Every master holds the same keyring in its TLS folder, readable by its owner only; a joiner gets it with its
//! certificates. Backups carry ciphertext and the key ids; the keys only when asked for, wrapped by a passphrase.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use raft_backup::WrappedKeys;
use raft_state::Payload;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::pbkdf2;
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

/// Rounds of PBKDF2 over a passphrase, as OWASP recommends for SHA-256; about a third of a second.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("above 0");
/// More than anybody writes; a backup that asks for more is not worth the wait.
const ROUNDS_MAX: u32 = 10_000_000;
/// The associated data of a wrapped keyring.
const WRAPPING: &[u8] = b"trireme keyring";

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
        let keyring = Self::generate()?;
        keyring.write(path)?;
        Ok(keyring)
    }

    /// A keyring with a new key.
    pub fn generate() -> Result<Self> {
        let mut key = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut key).ok().context("no randomness to be had")?;
        Self::from_keys(vec![(1, key)])
    }

    /// How many keys it has.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Reads a keyring: a line a key, `<id> <base64>`.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, what: &str) -> Result<Self> {
        let mut keys = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let parsed = line.split_once(' ').and_then(|(id, key)| {
                Some((id.parse::<u32>().ok()?, STANDARD.decode(key.trim()).ok()?.try_into().ok()?))
            });
            keys.push(parsed.with_context(|| format!("{what} holds a damaged key"))?);
        }
        if keys.is_empty() {
            bail!("{what} holds no key");
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
        crate::pki::write_private(path, self.text().as_bytes())
    }

    /// As its file reads.
    pub fn text(&self) -> String {
        self.keys.iter().map(|(id, key, _)| format!("{id} {}\n", STANDARD.encode(key))).collect()
    }

    /// The keyring, encrypted under a passphrase, for a backup. Takes a while, on purpose.
    pub fn wrap(&self, passphrase: &[u8]) -> Result<WrappedKeys> {
        let (mut salt, mut nonce) = ([0; 16], [0; 12]);
        self.random.fill(&mut salt).and_then(|()| self.random.fill(&mut nonce)).ok().context("no randomness")?;
        let mut text = self.text().into_bytes();
        wrapping(passphrase, &salt, ROUNDS)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(WRAPPING), &mut text)
            .ok()
            .context("a keyring of absurd size")?;
        Ok(WrappedKeys {
            iterations: ROUNDS.get(),
            salt: salt.to_vec().into(),
            nonce: nonce.to_vec().into(),
            ciphertext: text.into(),
        })
    }

    /// Opens what [`Keyring::wrap`] made.
    pub fn unwrap(wrapped: &WrappedKeys, passphrase: &[u8]) -> Result<Self> {
        let rounds = NonZeroU32::new(wrapped.iterations).filter(|rounds| rounds.get() <= ROUNDS_MAX);
        let rounds = rounds.context("the backup's keys are wrapped in a way that this build does not know")?;
        let nonce = wrapped.nonce[..].try_into().ok().context("a nonce of the wrong length")?;
        let mut buffer = wrapped.ciphertext.to_vec();
        let text = wrapping(passphrase, &wrapped.salt, rounds)?
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(WRAPPING), &mut buffer)
            .ok()
            .context("the passphrase is not the one that the backup's keys are wrapped with")?;
        Self::parse(std::str::from_utf8(text)?, "the backup")
    }
}

/// The key that a passphrase makes.
fn wrapping(passphrase: &[u8], salt: &[u8], rounds: NonZeroU32) -> Result<LessSafeKey> {
    let mut key = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase, &mut key);
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok().context("a key of the wrong length")?))
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

    #[test]
    fn a_wrapped_keyring_opens_with_its_passphrase_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open_or_generate(&folder.path().join("keys")).unwrap();
        let wrapped = keyring.wrap(b"a passphrase").unwrap();
        assert_eq!(Keyring::unwrap(&wrapped, b"a passphrase").unwrap().text(), keyring.text());
        assert!(Keyring::unwrap(&wrapped, b"another").is_err());
        let altered = WrappedKeys { iterations: 0, ..wrapped };
        assert!(Keyring::unwrap(&altered, b"a passphrase").is_err());
    }
}
