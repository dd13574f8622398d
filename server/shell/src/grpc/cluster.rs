//! `trireme.v1.Cluster`: who the masters are, and how they come and go.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use api_proto::v1;
use raft_node::{AdminError, MASTERS_GROUP, Node, REPLICAS_GROUP};
use raft_state::port::{Kind, Member, Store};
use raft_state::{Command, JoinToken};
use tonic::{Request, Response, Status};

use super::{Options, deadline};
use crate::join::Token;
use crate::pki::{Authority, Subject};

/// How long a token lasts when nobody says.
const TTL_S: u64 = 600;
/// A token is for the moment, not for the drawer.
const TTL_MAX_S: u64 = 7 * 86_400;

/// What a master needs to take others in.
pub struct Admission {
    /// The cluster's authority, PEM.
    pub ca_pem: String,
    /// Its key, where this master holds it.
    pub authority: Option<Authority>,
    /// The Secrets keys, as their file reads.
    pub secrets_key: String,
}

/// The service.
pub(super) struct Service {
    node: Arc<Node>,
    admission: Arc<Admission>,
}

impl Service {
    pub(super) fn new(options: &Options) -> Self {
        Self { node: options.node.clone(), admission: options.admission.clone() }
    }

    /// The id of a member that is named or numbered.
    async fn member(&self, text: &str, until: Instant) -> Result<u64, Status> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let status = self.node.cluster_status(until).await.map_err(|e| refused(&e))?;
        // While a machine begun anew takes its old place, the name means the newer.
        let named = status.members.iter().rev().find(|m| m.member.name == text);
        let names: Vec<&str> = status.members.iter().map(|m| m.member.name.as_str()).collect();
        let nobody = || Status::not_found(format!("no member is called {text}: there are {}", names.join(", ")));
        named.map(|m| m.member.id).ok_or_else(nobody)
    }

    /// What the bearer of a token may do, when it is good now.
    fn check_token(&self, shown: &str, request: &v1::JoinRequest) -> Result<(), Status> {
        let denied = |why: &str| Status::permission_denied(format!("{why}; `trireme cluster add` makes a new token"));
        let token: Token = shown.parse().map_err(|e: anyhow::Error| Status::permission_denied(e.to_string()))?;
        let snapshot = self.node.snapshot();
        let known = snapshot.roster().token(&token.id);
        // Of a hash, an attacker learns nothing by how long the comparison takes.
        let known = known.filter(|known| known.hash == token.hash());
        let known = known.ok_or_else(|| denied("the token is not known here"))?;
        if known.expires_s <= now_s() {
            return Err(denied("the token has ended"));
        }
        if known.replica && !request.replica {
            return Err(denied("the token is for a read replica (--replica)"));
        }
        if known.name.as_ref().is_some_and(|name| *name != request.name) {
            return Err(denied(&format!("the token is for {}", known.name.as_deref().unwrap_or_default())));
        }
        Ok(())
    }

    /// Certificates for the keys behind a joiner's requests.
    fn certify(&self, request: &v1::JoinRequest) -> Result<(String, String), Status> {
        if request.api_csr_pem.is_empty() && request.peer_csr_pem.is_empty() {
            return Ok((String::new(), String::new()));
        }
        let authority = self.admission.authority.as_ref().ok_or_else(|| {
            Status::unavailable(
                "this master does not hold the authority's key (ca.key in --tls-dir), so it cannot certify anybody: join through one that does, or issue certificates with `trireme certs issue`",
            )
        })?;
        let host = |address: &str| {
            address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']).to_owned()
        };
        let names = [request.name.clone(), host(&request.api_address)];
        let bad = |e: anyhow::Error| Status::invalid_argument(format!("{e:#}"));
        let api = authority.sign(&request.api_csr_pem, &Subject::api_server(&names)).map_err(bad)?;
        let subject = if request.replica { Subject::replica } else { Subject::master };
        let mut subject = subject(&request.name);
        subject.names.push(host(&request.peer_address));
        let peer = authority.sign(&request.peer_csr_pem, &subject).map_err(bad)?;
        Ok((api, peer))
    }

    async fn change(
        &self,
        request: Request<v1::MemberRequest>,
        kind: Kind,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let until = deadline(request.metadata());
        let id = self.member(&request.get_ref().member, until).await?;
        let changed = match kind {
            Kind::Master => self.node.promote(id, until).await,
            Kind::Leaving => self.node.remove(id, until).await.map(|()| String::new()),
            Kind::Standby | Kind::Replica => self.node.demote(id, until).await.map(|()| String::new()),
        };
        Ok(Response::new(v1::ChangeResponse { note: changed.map_err(|e| refused(&e))? }))
    }
}

/// Whether a certificate will do in place of a token: a master's or a read replica's for the machine that it was made for. Nobody
/// becomes another member by it, and no read replica a master.
fn may_come_back(identity: &api_rest::Identity, request: &v1::JoinRequest) -> bool {
    let is_of_kind = identity.is_in(MASTERS_GROUP) || request.replica && identity.is_in(REPLICAS_GROUP);
    is_of_kind && identity.user == request.name
}

#[tonic::async_trait]
impl v1::cluster_server::Cluster for Service {
    async fn status(
        &self,
        request: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatusResponse>, Status> {
        let status = self.node.cluster_status(deadline(request.metadata())).await.map_err(|e| refused(&e))?;
        let members = status.members.into_iter().map(|m| v1::ClusterMember {
            id: m.member.id,
            name: m.member.name,
            kind: kind(m.member.kind).into(),
            voter: m.member.voter,
            api_address: m.member.api_address,
            peer_address: m.member.peer_address,
            matched_index: m.matched_index,
            silent_ms: u64::try_from(m.silent.as_millis()).unwrap_or(u64::MAX),
            note: m.note,
        });
        Ok(Response::new(v1::ClusterStatusResponse {
            cluster_id: self.node.cluster_id().to_owned(),
            leader: status.leader,
            term: status.term,
            last_index: status.last_index,
            changing: status.changing,
            members: members.collect(),
            level: self.node.levels().cluster(),
        }))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let until = deadline(request.metadata());
        let wish = request.into_inner();
        let ttl_s = if wish.ttl_s == 0 { TTL_S } else { u64::from(wish.ttl_s) };
        if ttl_s > TTL_MAX_S {
            return Err(Status::invalid_argument(format!("a token lasts {TTL_MAX_S} s at most")));
        }
        let token = Token::generate(&self.admission.ca_pem).map_err(|e| Status::internal(e.to_string()))?;
        let expires_s = now_s() + ttl_s;
        let name = Some(wish.name).filter(|name| !name.is_empty());
        let known = JoinToken { hash: token.hash(), replica: wish.replica, name, expires_s };
        // Those that have ended are cleared away by the way.
        let snapshot = self.node.snapshot();
        let ended = snapshot.roster().tokens().iter().filter(|(_, token)| token.expires_s <= now_s());
        let mut commands: Vec<Command> =
            ended.map(|(id, _)| Command::JoinToken { id: id.clone(), token: None }).collect();
        commands.push(Command::JoinToken { id: token.id.clone(), token: Some(known) });
        let proposed = self.node.propose(commands, until).await;
        proposed.map_err(|e| Status::unavailable(e.to_string()))?;
        let standing = self.node.standing().borrow().clone();
        let masters = standing.members.into_iter().filter(|m| m.kind != Kind::Leaving).map(|m| m.api_address);
        // A place that is kept has no address yet.
        let masters = masters.filter(|address| !address.is_empty()).collect();
        Ok(Response::new(v1::CreateTokenResponse { token: token.to_string(), expires_s, masters }))
    }

    async fn authority(&self, _: Request<v1::AuthorityRequest>) -> Result<Response<v1::AuthorityResponse>, Status> {
        Ok(Response::new(v1::AuthorityResponse { ca_pem: self.admission.ca_pem.clone() }))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        let until = deadline(request.metadata());
        let identity = request.extensions().get::<api_rest::Identity>().cloned();
        let request = request.into_inner();
        if request.name.is_empty() || request.peer_address.is_empty() || request.api_address.is_empty() {
            return Err(Status::invalid_argument("a master that joins needs a name and two addresses"));
        }
        if !identity.is_some_and(|identity| may_come_back(&identity, &request)) {
            if request.token.is_empty() {
                return Err(Status::unauthenticated(
                    "a token is needed, or the certificate of a member of this name and kind: `trireme cluster add` makes a token",
                ));
            }
            // A token made a moment ago, at another master, must be known here.
            let fresh = self.node.read(raft_state::port::ReadLevel::Linearizable, until).await;
            fresh.map_err(|e| Status::unavailable(e.to_string()))?;
            self.check_token(&request.token, &request)?;
        }
        let (api_cert_pem, peer_cert_pem) = self.certify(&request)?;
        let member = Member {
            name: request.name.clone(),
            peer_address: request.peer_address.clone(),
            api_address: request.api_address.clone(),
            etcd_url: request.etcd_url.clone(),
            kind: if request.replica { Kind::Replica } else { Kind::Master },
            ..Member::default()
        };
        let id = self.node.add_member(&member, until).await.map_err(|e| refused(&e))?;
        let ca_key = self.admission.authority.as_ref().filter(|_| !request.replica && !peer_cert_pem.is_empty());
        Ok(Response::new(v1::JoinResponse {
            cluster_id: self.node.cluster_id().to_owned(),
            id,
            api_cert_pem,
            peer_cert_pem,
            secrets_key: self.admission.secrets_key.clone(),
            ca_key_pem: ca_key.map(|authority| authority.key_pem().to_owned()).unwrap_or_default(),
        }))
    }

    async fn promote(&self, request: Request<v1::MemberRequest>) -> Result<Response<v1::ChangeResponse>, Status> {
        self.change(request, Kind::Master).await
    }

    async fn demote(&self, request: Request<v1::MemberRequest>) -> Result<Response<v1::ChangeResponse>, Status> {
        self.change(request, Kind::Standby).await
    }

    async fn remove(&self, request: Request<v1::MemberRequest>) -> Result<Response<v1::ChangeResponse>, Status> {
        self.change(request, Kind::Leaving).await
    }

    async fn transfer_leadership(
        &self,
        request: Request<v1::MemberRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let until = deadline(request.metadata());
        let to = self.member(&request.get_ref().member, until).await?;
        self.node.transfer(to, until).await.map_err(|e| refused(&e))?;
        Ok(Response::new(v1::ChangeResponse::default()))
    }
}

fn kind(kind: Kind) -> v1::cluster_member::Kind {
    match kind {
        Kind::Master => v1::cluster_member::Kind::Master,
        Kind::Standby => v1::cluster_member::Kind::Standby,
        Kind::Replica => v1::cluster_member::Kind::Replica,
        Kind::Leaving => v1::cluster_member::Kind::Leaving,
    }
}

fn refused(error: &AdminError) -> Status {
    let said = error.to_string();
    match error {
        AdminError::Unknown(_) => Status::not_found(said),
        AdminError::Refused(_) => Status::failed_precondition(said),
        AdminError::DeadlineExceeded(_) => Status::deadline_exceeded(said),
        AdminError::Stopping => Status::unavailable(said),
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_brings_its_own_machine_back_and_no_other() {
        let check = |user: &str, group: &str, replica: bool, expected: bool| {
            let identity = api_rest::Identity::new(user, vec![group.to_owned()]);
            let request = v1::JoinRequest { name: "m4".to_owned(), replica, ..v1::JoinRequest::default() };
            assert_eq!(may_come_back(&identity, &request), expected, "{user} of {group}, replica: {replica}");
        };
        check("m4", MASTERS_GROUP, false, true);
        check("m4", MASTERS_GROUP, true, true);
        check("m4", REPLICAS_GROUP, true, true);
        check("m4", REPLICAS_GROUP, false, false);
        check("m1", MASTERS_GROUP, false, false);
        check("m1", REPLICAS_GROUP, true, false);
        check("m4", "system:masters", false, false);
    }
}
