//! The cluster's certificate authority and the certificates it issues.
//!
//! Kubernetes reads identities from client certificates: the common name is the user, the organizations are its groups.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Group of masters on the peer port.
pub const MASTERS_GROUP: &str = "trireme:masters";

/// The DNS name in every peer certificate, by which masters verify each other whatever their address.
pub const PEER_NAME: &str = "trireme-peer";

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
        let cert = stem.with_extension("crt");
        fs::write(&cert, &self.cert_pem).with_context(|| format!("writing {}", cert.display()))?;
        write_private(&stem.with_extension("key"), self.key_pem.as_bytes())
    }
}

/// Writes a file that only its owner may read, replacing it whole.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
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

    /// A worker node.
    pub fn node(name: &str) -> Self {
        Self::client(&format!("system:node:{name}"), "system:nodes")
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
        valid_for_days(&mut params, 3650);
        let cert_pem = params.self_signed(&key)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Self { issuer: Issuer::new(params, key), cert_pem, key_pem })
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

    /// Issues a certificate, good for a year.
    pub fn issue(&self, subject: &Subject) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject.common_name.as_str());
        if let Some(organization) = &subject.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        for name in &subject.names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if subject.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if subject.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        valid_for_days(&mut params, 365);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Reads a pair, or issues and writes it.
    pub fn read_or_issue(&self, stem: &Path, subject: &Subject) -> Result<Pair> {
        if stem.with_extension("key").exists() {
            return Pair::read(stem);
        }
        let pair = self.issue(subject)?;
        pair.write(stem)?;
        Ok(pair)
    }
}

/// From an hour ago (clocks of machines differ) for so many days.
fn valid_for_days(params: &mut CertificateParams, days: i64) {
    let now = std::time::SystemTime::now();
    params.not_before = (now - std::time::Duration::from_secs(3600)).into();
    params.not_after = (now + std::time::Duration::from_secs(86_400 * days.unsigned_abs())).into();
}
