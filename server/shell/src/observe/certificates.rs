//! When this process's certificates expire.

use anyhow::{Context, Result};
use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;

/// One certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificate {
    /// What it is for: `ca`, `apiserver`, `peer` …
    pub name: String,
    /// Its subject: `CN=m1, O=trireme:masters`.
    pub subject: String,
    /// Seconds since the epoch.
    pub not_before: i64,
    /// Seconds since the epoch.
    pub not_after: i64,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(name: &str, pem: &str) -> Result<Self> {
        let first = Pem::iter_from_buffer(pem.as_bytes()).next().context("no PEM certificate")??;
        let parsed = first.parse_x509().context("no X.509 certificate")?;
        let validity = parsed.validity();
        Ok(Self {
            name: name.to_owned(),
            subject: parsed.subject().to_string(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }
}

/// The certificates in use, which may be replaced while the process runs.
#[derive(Debug, Default)]
pub struct Certificates {
    all: RwLock<Vec<Certificate>>,
}

impl Certificates {
    /// A certificate is in use from now on, in place of one of the same name. What cannot be read is not shown.
    pub fn put(&self, name: &str, pem: &str) {
        let Ok(certificate) = Certificate::read(name, pem) else { return };
        let mut all = self.all.write();
        all.retain(|known| known.name != name);
        all.push(certificate);
        all.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// All of them.
    pub fn all(&self) -> Vec<Certificate> {
        self.all.read().clone()
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "When a certificate in use expires, since the epoch";
        let name = "trireme_certificate_expiration_timestamp_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for certificate in self.all.read().iter() {
            let labels = [("certificate", certificate.name.as_str())];
            ConstGauge::new(certificate.not_after).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Subject};

    #[test]
    fn a_new_certificate_takes_the_place_of_the_old_one() {
        let authority = Authority::generate().unwrap();
        let certificates = Certificates::default();
        certificates.put("ca", &authority.cert_pem);
        for _ in 0..2 {
            certificates.put("peer", &authority.issue(&Subject::master("m1")).unwrap().cert_pem);
        }
        certificates.put("broken", "no certificate");
        let all = certificates.all();
        assert_eq!(all.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["ca", "peer"]);
        assert!(all[1].subject.contains("m1"), "{:?}", all[1]);
        let days = (all[1].not_after - all[1].not_before) / 86_400;
        assert_eq!(days, 365);
    }
}
