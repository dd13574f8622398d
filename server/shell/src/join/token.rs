//! The token that lets a master join.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// `<id>.<secret>.<hash of the authority>`, all hexadecimal.
///
/// The id finds what the cluster keeps of it, a hash of the secret; the hash of the authority tells the bearer whom to
/// trust.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Public.
    pub id: String,
    secret: String,
    authority: String,
}

impl Token {
    /// A new token for the cluster of this authority.
    pub fn generate(ca_pem: &str) -> Result<Self> {
        let mut random = [0_u8; 20];
        SystemRandom::new().fill(&mut random).ok().context("no randomness to be had")?;
        let (id, secret) = random.split_at(4);
        Ok(Self { id: hex(id), secret: hex(secret), authority: fingerprint(ca_pem)? })
    }

    /// What the cluster keeps of the secret.
    pub fn hash(&self) -> [u8; 32] {
        let hash = digest(&SHA256, self.secret.as_bytes());
        hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whether this is the authority that the token was made by.
    pub fn trusts(&self, ca_pem: &str) -> bool {
        fingerprint(ca_pem).is_ok_and(|found| found == self.authority)
    }
}

/// SHA-256 of a certificate.
fn fingerprint(pem: &str) -> Result<String> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).context("reading the authority's certificate")?;
    Ok(hex(digest(&SHA256, &certificate).as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl FromStr for Token {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let is_hex = |part: &&str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
        match parts[..] {
            [id, secret, authority] if is_hex(&id, 8) && is_hex(&secret, 32) && is_hex(&authority, 64) => {
                Ok(Self { id: id.to_owned(), secret: secret.to_owned(), authority: authority.to_owned() })
            }
            _ => {
                bail!("that is no token: it reads <8 digits>.<32 digits>.<64 digits>; `trireme cluster add` makes one")
            }
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.id, self.secret, self.authority)
    }
}

impl fmt::Debug for Token {
    /// Logs are no place for secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}…)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Authority;

    #[test]
    fn a_token_is_read_as_it_was_written_and_trusts_one_authority() {
        let (ours, theirs) = (Authority::generate().unwrap(), Authority::generate().unwrap());
        let token = Token::generate(&ours.cert_pem).unwrap();
        let read: Token = format!(" {token}\n").parse().unwrap();
        assert_eq!((read.hash(), read.trusts(&ours.cert_pem)), (token.hash(), true));
        assert!(!read.trusts(&theirs.cert_pem));
        assert!(!format!("{token:?}").contains(&token.secret));
        for bad in ["", "abc", "12345678.12345678", &token.to_string()[1..]] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
