//! Who may speak on the peer port.

use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The organization in the certificate of every master, and of nobody else.
pub const MASTERS_GROUP: &str = "trireme:masters";

/// The organization in the certificate of every read replica: masters in all but what they may become.
pub const REPLICAS_GROUP: &str = "trireme:replicas";

/// The DNS name in the certificate of every master, by which they verify each other whatever their address.
pub const PEER_NAME: &str = "trireme-peer";

/// Refuses whoever's certificate names neither a master nor a read replica. That the certificate is the authority's own, TLS has seen to.
pub(crate) fn require_master(request: Request<()>) -> Result<Request<()>, Status> {
    let certificates =
        request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>().and_then(TlsConnectInfo::peer_certs);
    let names_member = certificates.as_ref().and_then(|chain| chain.first()).is_some_and(|leaf| is_member(leaf));
    if names_member {
        Ok(request)
    } else {
        Err(Status::permission_denied(format!(
            "the peer port is for certificates of {MASTERS_GROUP} and {REPLICAS_GROUP} alone"
        )))
    }
}

fn is_member(certificate: &[u8]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let group = |group: &str| parsed.subject().iter_organization().any(|o| o.as_str() == Ok(group));
    group(MASTERS_GROUP) || group(REPLICAS_GROUP)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn only_the_organizations_of_members_will_do() {
        let check = |organizations: &[&str], expected: bool| {
            let mut params = CertificateParams::default();
            for organization in organizations {
                params.distinguished_name.push(DnType::OrganizationName, *organization);
            }
            let certificate = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
            assert_eq!(is_member(certificate.der()), expected, "{organizations:?}");
        };
        check(&[MASTERS_GROUP], true);
        check(&[REPLICAS_GROUP], true);
        check(&["system:nodes"], false);
        check(&[], false);
        assert!(!is_member(b"no certificate"));
    }
}
