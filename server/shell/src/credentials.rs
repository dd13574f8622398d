//! What a master shows others on its ports, and where it lies.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use raft_node::PeerTls;

use crate::mistakes::Mistakes;
use crate::observe::certificates::Certificate;
use crate::observe::{AsMaster, Certificates};
use crate::pki::Pair;
use crate::{rotation, tls};

/// The files of a master's certificates.
#[derive(Clone, Debug)]
pub struct Files {
    /// The cluster's authority.
    pub ca: PathBuf,
    /// Pair of the API's port, without the ending.
    pub api: PathBuf,
    /// Pair of the peer port, without the ending.
    pub peer: PathBuf,
}

/// What they hold.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The cluster's authority, PEM.
    pub ca_pem: String,
    /// The API's certificate.
    pub api: Pair,
    /// The peer port's.
    pub peer: Pair,
}

impl Files {
    /// In a folder of one master's own.
    pub fn in_folder(tls_dir: &Path) -> Self {
        Self { ca: tls_dir.join("ca.crt"), api: tls_dir.join("apiserver"), peer: tls_dir.join("peer") }
    }

    /// All of them.
    pub fn all(&self) -> Vec<PathBuf> {
        let pairs = [&self.api, &self.peer].into_iter().flat_map(|stem| rotation::pair(stem));
        std::iter::once(self.ca.clone()).chain(pairs).collect()
    }

    /// Reads them and tries them out.
    ///
    /// # Errors
    /// Names everything that is wrong.
    pub fn read(&self) -> Result<Credentials> {
        let mut mistakes = Mistakes::default();
        let ca = std::fs::read_to_string(&self.ca).with_context(|| format!("reading {}", self.ca.display()));
        let (ca_pem, api, peer) =
            (mistakes.take(ca), mistakes.take(Pair::read(&self.api)), mistakes.take(Pair::read(&self.peer)));
        if let Some(ca_pem) = &ca_pem {
            for (stem, pair) in [(&self.api, &api), (&self.peer, &peer)] {
                let Some(pair) = pair else { continue };
                let usable = tls::api_server(ca_pem, pair).map(drop);
                mistakes.take(usable.with_context(|| format!("{}.crt and .key are no pair", stem.display())));
                let read = Certificate::read("", &pair.cert_pem).with_context(|| stem.display().to_string());
                if let Some(certificate) = mistakes.take(read)
                    && certificate.not_after < crate::clock::now_us() / 1_000_000
                {
                    mistakes.note(format!("{}.crt has expired: `trireme certs issue` renews it", stem.display()));
                }
            }
        }
        mistakes.end()?;
        let (Some(ca_pem), Some(api), Some(peer)) = (ca_pem, api, peer) else {
            unreachable!("no mistake, yet nothing")
        };
        Ok(Credentials { ca_pem, api, peer })
    }
}

impl Credentials {
    /// For the peer port.
    pub fn peer_tls(&self) -> PeerTls {
        let Pair { cert_pem, key_pem } = self.peer.clone();
        PeerTls { ca_pem: self.ca_pem.clone(), cert_pem, key_pem }
    }

    /// For asking other masters.
    pub fn as_master(&self) -> AsMaster {
        AsMaster { ca_pem: self.ca_pem.clone(), pair: self.peer.clone() }
    }

    /// Has them shown with their expiry.
    pub fn show(&self, certificates: &Certificates) {
        certificates.put("ca", &self.ca_pem);
        certificates.put("apiserver", &self.api.cert_pem);
        certificates.put("peer", &self.peer.cert_pem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Subject};

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::in_folder(folder.path());
        let told = format!("{:#}", files.read().unwrap_err());
        for name in ["ca.crt", "apiserver.crt", "peer.crt"] {
            assert!(told.contains(name), "{told}");
        }
        let authority = Authority::generate().unwrap();
        std::fs::write(&files.ca, &authority.cert_pem).unwrap();
        authority.read_or_issue(&files.api, &Subject::api_server(&[])).unwrap();
        authority.read_or_issue(&files.peer, &Subject::master("m1")).unwrap();
        assert_eq!(files.read().unwrap().ca_pem, authority.cert_pem);
        // A certificate of one pair with the key of another.
        std::fs::copy(files.api.with_extension("crt"), files.peer.with_extension("crt")).unwrap();
        let told = format!("{:#}", files.read().unwrap_err());
        assert!(told.contains("peer.crt and .key are no pair"), "{told}");
    }
}
