//! The members of the cluster.

use std::time::Instant;

use api_proto::etcd::etcdserverpb as pb;
use raft_state::port::Member;

use crate::Face;
use crate::operator::Members;
use crate::status::Status;

impl Face {
    pub(crate) async fn member_list(
        &self,
        request: pb::MemberListRequest,
        deadline: Instant,
    ) -> Result<pb::MemberListResponse, Status> {
        self.latest(!request.linearizable, deadline).await?;
        let members = match request.linearizable {
            true => self.members(deadline).await?,
            false => self.standing().borrow().members.clone(),
        };
        Ok(pb::MemberListResponse { header: Some(self.cluster_header()), members: self.messages(&members) })
    }

    pub(crate) async fn member_add(
        &self,
        request: pb::MemberAddRequest,
        deadline: Instant,
    ) -> Result<pb::MemberAddResponse, Status> {
        let address = peer_address(&request.peer_ur_ls)?;
        if self.members(deadline).await?.iter().any(|member| member.peer_address == address) {
            return Err(Status::PEER_URL_EXISTS);
        }
        let id = self.changes()?.add(address, request.is_learner, deadline).await?;
        let members = self.messages(&self.members(deadline).await?);
        let member = members.iter().find(|member| member.id == id).cloned();
        Ok(pb::MemberAddResponse { header: Some(self.cluster_header()), member, members })
    }

    pub(crate) async fn member_remove(
        &self,
        request: pb::MemberRemoveRequest,
        deadline: Instant,
    ) -> Result<pb::MemberRemoveResponse, Status> {
        self.member(request.id, deadline).await?;
        self.changes()?.remove(request.id, deadline).await?;
        let members = self.messages(&self.members(deadline).await?);
        Ok(pb::MemberRemoveResponse { header: Some(self.cluster_header()), members })
    }

    pub(crate) async fn member_promote(
        &self,
        request: pb::MemberPromoteRequest,
        deadline: Instant,
    ) -> Result<pb::MemberPromoteResponse, Status> {
        if self.member(request.id, deadline).await?.voter {
            return Err(Status::MEMBER_NOT_LEARNER);
        }
        self.changes()?.promote(request.id, deadline).await?;
        let members = self.messages(&self.members(deadline).await?);
        Ok(pb::MemberPromoteResponse { header: Some(self.cluster_header()), members })
    }

    pub(crate) async fn member_update(
        &self,
        request: pb::MemberUpdateRequest,
        deadline: Instant,
    ) -> Result<pb::MemberUpdateResponse, Status> {
        let address = peer_address(&request.peer_ur_ls)?;
        self.member(request.id, deadline).await?;
        if self.members(deadline).await?.iter().any(|m| m.id != request.id && m.peer_address == address) {
            return Err(Status::PEER_URL_EXISTS);
        }
        self.changes()?.update(request.id, address, deadline).await?;
        let members = self.messages(&self.members(deadline).await?);
        Ok(pb::MemberUpdateResponse { header: Some(self.cluster_header()), members })
    }

    /// The members by the leader's word, where this member can ask for it.
    async fn members(&self, deadline: Instant) -> Result<Vec<Member>, Status> {
        match self.operator.members() {
            Some(members) => members.list(deadline).await,
            None => Ok(self.standing().borrow().members.clone()),
        }
    }

    async fn member(&self, id: u64, deadline: Instant) -> Result<Member, Status> {
        let members = self.members(deadline).await?;
        members.into_iter().find(|member| member.id == id).ok_or(Status::MEMBER_NOT_FOUND)
    }

    fn changes(&self) -> Result<&dyn Members, Status> {
        self.operator.members().ok_or(Status::NOT_CAPABLE)
    }

    fn messages(&self, members: &[Member]) -> Vec<pb::Member> {
        let message = |member: &Member| pb::Member {
            id: member.id,
            name: member.name.clone(),
            peer_ur_ls: vec![format!("{}://{}", self.peer_scheme, member.peer_address)],
            client_ur_ls: if member.etcd_url.is_empty() { Vec::new() } else { vec![member.etcd_url.clone()] },
            is_learner: !member.voter,
        };
        members.iter().map(message).collect()
    }

    /// As etcd's: without a revision.
    fn cluster_header(&self) -> pb::ResponseHeader {
        self.header(0)
    }
}

/// host:port of the one peer URL that a member of ours has.
fn peer_address(urls: &[String]) -> Result<String, Status> {
    let [url] = urls else { return Err(Status::MEMBER_BAD_URLS) };
    let address =
        url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or(Status::MEMBER_BAD_URLS)?;
    let address = address.trim_end_matches('/');
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address.to_owned()),
        _ => Err(Status::MEMBER_BAD_URLS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_url_names_host_and_port() {
        let check = |urls: &[&str], expected: Result<&str, Status>| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            assert_eq!(peer_address(&urls), expected.map(str::to_owned), "{urls:?}");
        };
        check(&["https://10.0.0.1:2380"], Ok("10.0.0.1:2380"));
        check(&["http://m4:2380/"], Ok("m4:2380"));
        check(&["https://[::1]:2380"], Ok("[::1]:2380"));
        check(&["10.0.0.1:2380"], Err(Status::MEMBER_BAD_URLS));
        check(&["https://10.0.0.1"], Err(Status::MEMBER_BAD_URLS));
        check(&[], Err(Status::MEMBER_BAD_URLS));
    }
}
