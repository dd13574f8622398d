//! Joining a cluster: `trireme server --join <master> --token <token>`.
//!
//! The token names its secret, and the hash of the cluster's authority. The joiner asks for the authority over a connection
//! that it does not trust yet, and goes on only when the hash is right; from then on it speaks to a master that it knows.
//! Its private keys never leave it: it sends certificate requests, and a master that holds the authority's key signs them.

mod dial;
mod token;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api_proto::v1;
use rcgen::{CertificateParams, KeyPair};
use tonic::Code;

use crate::pki::{Pair, write_private};

pub use token::Token;

/// Between attempts while no master takes this one in.
const RETRY: Duration = Duration::from_millis(300);

/// Who wants to join, and where.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// API addresses of masters.
    pub masters: Vec<String>,
    /// Needed unless the folder holds a master's certificate.
    pub token: Option<Token>,
    /// The member's name.
    pub name: String,
    /// host:port for the others.
    pub peer_address: String,
    /// host:port for clients.
    pub api_address: String,
    /// For clients of etcd's API; empty when it does not serve that.
    pub etcd_url: String,
    /// Never to vote.
    pub replica: bool,
    /// Where certificates and keys lie, or are to lie.
    pub tls_dir: PathBuf,
}

/// What the cluster said.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Its id.
    pub cluster_id: String,
    /// The member's id.
    pub id: u64,
}

/// Joins, waiting through elections; a refusal that time does not mend is an error. Certificates and keys are in place
/// when it returns.
pub async fn run(candidate: &Candidate) -> Result<Admission> {
    let keys = Keys::of(candidate)?;
    loop {
        let mut last = None;
        for master in &candidate.masters {
            match attempt(candidate, master, &keys).await {
                Ok(answer) => return settle(candidate, &keys, answer),
                Err(Obstacle::Passing(why)) => last = Some(format!("{master}: {why}")),
                Err(Obstacle::Final(why)) => return Err(why.context(format!("{master} does not take this master in"))),
            }
        }
        tracing::info!("not taken in yet: {}", last.unwrap_or_default());
        tokio::time::sleep(RETRY).await;
    }
}

/// What this master brings along.
enum Keys {
    /// A master's certificate: its folder was emptied, or somebody issued it beforehand.
    Certified { ca_pem: String, peer: Pair },
    /// New keys, to be certified.
    Fresh { api: Box<KeyPair>, peer: Box<KeyPair> },
}

impl Keys {
    fn of(candidate: &Candidate) -> Result<Self> {
        let dir = &candidate.tls_dir;
        if dir.join("peer.crt").exists() {
            let ca = dir.join("ca.crt");
            let ca_pem = std::fs::read_to_string(&ca).with_context(|| format!("reading {}", ca.display()))?;
            return Ok(Self::Certified { ca_pem, peer: Pair::read(&dir.join("peer"))? });
        }
        if candidate.token.is_none() {
            bail!(
                "{} holds no certificate of a master, so --token is needed: `trireme cluster add` makes one",
                dir.display()
            );
        }
        Ok(Self::Fresh { api: Box::new(KeyPair::generate()?), peer: Box::new(KeyPair::generate()?) })
    }
}

enum Obstacle {
    /// Another master, or the same one later, may answer better.
    Passing(String),
    Final(anyhow::Error),
}

impl From<tonic::Status> for Obstacle {
    fn from(status: tonic::Status) -> Self {
        let why = status.message().to_owned();
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::Unimplemented => {
                Self::Final(anyhow::anyhow!(why))
            }
            _ => Self::Passing(why),
        }
    }
}

async fn attempt(candidate: &Candidate, master: &str, keys: &Keys) -> Result<v1::JoinResponse, Obstacle> {
    let mut request = v1::JoinRequest {
        name: candidate.name.clone(),
        peer_address: candidate.peer_address.clone(),
        api_address: candidate.api_address.clone(),
        etcd_url: candidate.etcd_url.clone(),
        replica: candidate.replica,
        ..v1::JoinRequest::default()
    };
    let mut client = match (keys, &candidate.token) {
        (Keys::Certified { ca_pem, peer }, _) => dial::as_master(master, ca_pem, peer).map_err(Obstacle::Final)?,
        (Keys::Fresh { api, peer }, Some(token)) => {
            let ca_pem = dial::authority(master, token).await?;
            request.token = token.to_string();
            request.api_csr_pem = certificate_request(api).map_err(Obstacle::Final)?;
            request.peer_csr_pem = certificate_request(peer).map_err(Obstacle::Final)?;
            write_public(candidate, &ca_pem).map_err(Obstacle::Final)?;
            dial::as_nobody(master, &ca_pem).map_err(Obstacle::Final)?
        }
        (Keys::Fresh { .. }, None) => return Err(Obstacle::Final(anyhow::anyhow!("--token is needed"))),
    };
    Ok(client.join(request).await?.into_inner())
}

/// The names in the certificate are the signer's business; the request proves that the key is ours.
fn certificate_request(key: &KeyPair) -> Result<String> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}

fn write_public(candidate: &Candidate, ca_pem: &str) -> Result<()> {
    let dir = &candidate.tls_dir;
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let path = dir.join("ca.crt");
    std::fs::write(&path, ca_pem).with_context(|| format!("writing {}", path.display()))
}

/// Puts what the cluster gave in its place; the peer certificate last, for its presence means that all is there.
fn settle(candidate: &Candidate, keys: &Keys, answer: v1::JoinResponse) -> Result<Admission> {
    let at = |name: &str| candidate.tls_dir.join(name);
    if let Keys::Fresh { api, peer } = keys {
        write_secret(&at("secrets.key"), &answer.secrets_key)?;
        if !answer.ca_key_pem.is_empty() {
            write_secret(&at("ca.key"), &answer.ca_key_pem)?;
        }
        Pair { cert_pem: answer.api_cert_pem, key_pem: api.serialize_pem() }.write(&at("apiserver"))?;
        let peer = Pair { cert_pem: answer.peer_cert_pem, key_pem: peer.serialize_pem() };
        write_secret(&at("peer.key"), &peer.key_pem)?;
        let path = at("peer.crt");
        std::fs::write(&path, &peer.cert_pem).with_context(|| format!("writing {}", path.display()))?;
    }
    tracing::info!(id = answer.id, cluster = answer.cluster_id, "taken into the cluster");
    Ok(Admission { cluster_id: answer.cluster_id, id: answer.id })
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    write_private(path, text.as_bytes())
}
