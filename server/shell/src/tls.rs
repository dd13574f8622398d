//! TLS of the API port, and who is at the other end.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::pki::Pair;

/// ring for everything: rustls refuses to guess when two providers are linked in.
pub fn install_provider() {
    // An error means that it is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().context("reading PEM certificates")
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).context("reading a PEM private key")
}

/// Trust in one authority.
pub fn roots(ca_pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// The API port: a client certificate is asked for and checked when given; who has none is anonymous.
pub fn api_server(ca_pem: &str, pair: &Pair) -> Result<Arc<ServerConfig>> {
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots(ca_pem)?)).allow_unauthenticated().build()?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&pair.cert_pem)?, private_key(&pair.key_pem)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A port where every client shows a certificate of the authority. HTTP/2 is what its clients speak; HTTP/1.1 is for
/// the plain pages.
pub fn mutual_server(ca_pem: &str, pair: &Pair) -> Result<Arc<ServerConfig>> {
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots(ca_pem)?)).build()?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&pair.cert_pem)?, private_key(&pair.key_pem)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A client that trusts the cluster's authority and shows no certificate.
pub fn anonymous_client(ca_pem: &str) -> Result<Arc<ClientConfig>> {
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots(ca_pem)?).with_no_client_auth()))
}

/// User and groups of a verified client certificate.
pub fn subject(certificate: &CertificateDer<'_>) -> Option<(String, Vec<String>)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let user = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    Some((user, groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Subject};

    #[test]
    fn the_identity_is_read_from_the_certificate_that_the_authority_issued() {
        let authority = Authority::generate().unwrap();
        let pair = authority.issue(&Subject::client("system:node:n1", "system:nodes")).unwrap();
        let der = certificates(&pair.cert_pem).unwrap().remove(0);
        assert_eq!(subject(&der), Some(("system:node:n1".to_owned(), vec!["system:nodes".to_owned()])));
    }
}
