//! The cluster's certificate authority and the certificates it issues.
//!
//! Kubernetes reads identities from client certificates: the common name is the user, the organizations are its groups.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use raft_node::{MASTERS_GROUP, PEER_NAME, REPLICAS_GROUP};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use crate::observe::certificates::Certificate;

/// Certificates are good for so long.
pub const VALID_DAYS: u32 = 365;

/// Authorities are good for so long.
const CA_VALID_DAYS: i64 = 3650;

/// A certificate with its private key, both PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub cert_pem: String,
    /// PKCS#8.
    pub key_pem: String,
}

impl Pair {
    /// Reads `<stem>.crt` and `<stem>.key`.
    pub fn read(stem: &Path) -> Result<Self> {
        let read = |ext: &str| {
            let path = stem.with_extension(ext);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        Ok(Self { cert_pem: read("crt")?, key_pem: read("key")? })
    }

    /// Writes `<stem>.crt` and `<stem>.key`, the key readable by its owner only.
    pub fn write(&self, stem: &Path) -> Result<()> {
        if let Some(folder) = stem.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        // Each whole; who reads between the two sees that they do not fit and looks again.
        write_private(&stem.with_extension("key"), self.key_pem.as_bytes())?;
        write_whole(&stem.with_extension("crt"), self.cert_pem.as_bytes(), 0o644)
    }
}

/// Writes a file that only its owner may read, replacing it whole.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(path, bytes, 0o600)
}

fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let partial = path.with_extension("partial");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&partial)
        .with_context(|| format!("writing {}", partial.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path).with_context(|| format!("writing {}", path.display()))
}

/// Who a certificate speaks for, and where.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Common name: the user.
    pub common_name: String,
    /// Organization: the group. rcgen writes one at most.
    pub organization: Option<String>,
    /// DNS names and addresses a server may be reached by.
    pub names: Vec<String>,
    /// Whether it serves.
    pub server: bool,
    /// Whether it connects.
    pub client: bool,
}

impl Subject {
    /// A client: a user of a group.
    pub fn client(user: &str, group: &str) -> Self {
        Self { common_name: user.to_owned(), organization: Some(group.to_owned()), client: true, ..Self::default() }
    }

    /// The API of one master, under every name that clients may know it by, the front door's included.
    pub fn api_server(extra_names: &[String]) -> Self {
        let mut names: Vec<String> = [
            "localhost",
            "127.0.0.1",
            "::1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "10.96.0.1",
        ]
        .map(str::to_owned)
        .to_vec();
        names.extend(extra_names.iter().filter(|n| !names.contains(n)).cloned().collect::<Vec<_>>());
        Self { common_name: "kube-apiserver".to_owned(), names, server: true, ..Self::default() }
    }

    /// A master on the peer port.
    pub fn master(name: &str) -> Self {
        Self {
            common_name: name.to_owned(),
            organization: Some(MASTERS_GROUP.to_owned()),
            names: vec![PEER_NAME.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()],
            server: true,
            client: true,
        }
    }

    /// A read replica on the peer port.
    pub fn replica(name: &str) -> Self {
        Self { organization: Some(REPLICAS_GROUP.to_owned()), ..Self::master(name) }
    }

    /// The metrics port of a process that serves nothing else.
    pub fn metrics(name: &str) -> Self {
        let names = vec![name.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
        Self { common_name: format!("trireme:metrics:{name}"), names, server: true, ..Self::default() }
    }

    /// A worker node.
    pub fn node(name: &str) -> Self {
        Self::client(&format!("system:node:{name}"), "system:nodes")
    }
}

impl Subject {
    /// What its certificate says, good for so many days.
    fn certificate(&self, days: u32) -> Result<CertificateParams> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.common_name.as_str());
        if let Some(organization) = &self.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        for name in &self.names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if self.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if self.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        valid_for_days(&mut params, days.into());
        Ok(params)
    }
}

/// The certificate authority of a cluster.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub cert_pem: String,
    key_pem: String,
}

impl Authority {
    /// A new authority, good for ten years.
    pub fn generate() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "trireme-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        valid_for_days(&mut params, CA_VALID_DAYS);
        let cert_pem = params.self_signed(&key)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Self { issuer: Issuer::new(params, key), cert_pem, key_pem })
    }

    /// Reads the authority where its key is at hand; `None` where it is not.
    pub fn open(cert: &Path, key: &Path) -> Result<Option<Self>> {
        if key.exists() { Self::open_or_generate(cert, key).map(Some) } else { Ok(None) }
    }

    /// Reads `ca.crt` and `ca.key` of a folder, or makes them.
    pub fn open_or_generate(cert: &Path, key: &Path) -> Result<Self> {
        if key.exists() {
            let cert_pem = fs::read_to_string(cert).with_context(|| format!("reading {}", cert.display()))?;
            let key_pem = fs::read_to_string(key).with_context(|| format!("reading {}", key.display()))?;
            let issuer = Issuer::from_ca_cert_pem(&cert_pem, KeyPair::from_pem(&key_pem)?)
                .with_context(|| format!("{} is no certificate authority", cert.display()))?;
            return Ok(Self { issuer, cert_pem, key_pem });
        }
        let authority = Self::generate()?;
        for folder in [cert.parent(), key.parent()].into_iter().flatten() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(cert, &authority.cert_pem).with_context(|| format!("writing {}", cert.display()))?;
        write_private(key, authority.key_pem.as_bytes())?;
        Ok(authority)
    }

    /// Issues a certificate, good for a year: for tests.
    #[cfg(test)]
    pub fn issue(&self, subject: &Subject) -> Result<Pair> {
        self.issue_for(subject, VALID_DAYS)
    }

    /// Issues a certificate, good for so many days.
    pub fn issue_for(&self, subject: &Subject, days: u32) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let certificate = subject.certificate(days)?.signed_by(&key, &self.issuer)?;
        Ok(Pair { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Certifies the key behind a request (PKCS#10, PEM) for a subject of our own choosing; the certificate, PEM.
    pub fn sign(&self, request_pem: &str, subject: &Subject) -> Result<String> {
        let mut request =
            CertificateSigningRequestParams::from_pem(request_pem).context("reading the certificate request")?;
        request.params = subject.certificate(VALID_DAYS)?;
        Ok(request.signed_by(&self.issuer)?.pem())
    }

    /// Its key, PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Reads a pair, or issues and writes it. One that has lived two thirds of its time is issued anew: what uses it takes
    /// the new one up while it runs.
    pub fn read_or_issue(&self, stem: &Path, subject: &Subject) -> Result<Pair> {
        self.read_or_renew(stem, subject, &Renewal::default())
    }

    /// As [`Authority::read_or_issue`], by other rules.
    pub fn read_or_renew(&self, stem: &Path, subject: &Subject, renewal: &Renewal) -> Result<Pair> {
        if stem.with_extension("key").exists() {
            let pair = Pair::read(stem)?;
            if !renewal.is_due(&pair)? {
                return Ok(pair);
            }
        }
        let pair = self.issue_for(subject, renewal.valid_days)?;
        pair.write(stem)?;
        Ok(pair)
    }
}

/// When a certificate is issued anew, and for how long.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// What is issued is good for so long.
    pub valid_days: u32,
    /// Issue all anew, however fresh they are.
    pub force: bool,
}

impl Default for Renewal {
    fn default() -> Self {
        Self { valid_days: VALID_DAYS, force: false }
    }
}

impl Renewal {
    fn is_due(&self, pair: &Pair) -> Result<bool> {
        let Certificate { not_before, not_after, .. } = Certificate::read("", &pair.cert_pem)?;
        let now = crate::clock::now_us() / 1_000_000;
        Ok(self.force || is_due(not_before, not_after, now))
    }
}

/// Whether less than a third of its time is left.
fn is_due(not_before: i64, not_after: i64, now: i64) -> bool {
    not_after - now < (not_after - not_before) / 3
}

/// From an hour ago (clocks of machines differ) for so many days.
fn valid_for_days(params: &mut CertificateParams, days: i64) {
    let now = std::time::SystemTime::now();
    params.not_before = (now - std::time::Duration::from_secs(3600)).into();
    params.not_after = (now + std::time::Duration::from_secs(86_400 * days.unsigned_abs())).into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_when_two_thirds_of_its_time_are_over() {
        let check = |now: i64, expected: bool| assert_eq!(is_due(0, 300, now), expected, "{now} of 300");
        check(0, false);
        check(199, false);
        check(201, true);
        check(300, true);
        check(1000, true);
    }

    #[test]
    fn what_is_fresh_is_kept_and_what_is_forced_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, stem) = (Authority::generate().unwrap(), folder.path().join("peer"));
        let subject = Subject::master("m1");
        let first = authority.read_or_issue(&stem, &subject).unwrap();
        assert_eq!(authority.read_or_issue(&stem, &subject).unwrap().cert_pem, first.cert_pem);
        let forced = Renewal { force: true, ..Renewal::default() };
        let second = authority.read_or_renew(&stem, &subject, &forced).unwrap();
        assert_ne!(second.cert_pem, first.cert_pem);
        assert_eq!(Pair::read(&stem).unwrap().cert_pem, second.cert_pem);
    }
}
