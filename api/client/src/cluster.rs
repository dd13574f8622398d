//! The masters, and how they come and go.

use api_proto::v1;
use api_proto::v1::cluster_client::ClusterClient;
use tonic::Request;
use tonic::transport::Channel;

use crate::masters::Repeat;
use crate::{Client, Error};

fn cluster(channel: Channel) -> ClusterClient<Channel> {
    ClusterClient::new(channel)
}

impl Client {
    /// Where every member stands, by the leader's word.
    ///
    /// # Errors
    /// When no master answers, or there is no leader.
    pub async fn cluster_status(&self) -> Result<v1::ClusterStatusResponse, Error> {
        let send = |channel, request| async move { cluster(channel).status(request).await };
        self.masters.call(Repeat::Freely, v1::ClusterStatusRequest {}, send).await
    }

    /// Makes a token that lets its bearer join. A token that nobody has seen hurts nobody, so this is tried again freely.
    ///
    /// # Errors
    /// When no master answers.
    pub async fn create_token(&self, request: v1::CreateTokenRequest) -> Result<v1::CreateTokenResponse, Error> {
        let send = |channel, request| async move { cluster(channel).create_token(request).await };
        self.masters.call(Repeat::Freely, request, send).await
    }

    /// Lets a master vote that was demoted. A word about what it waits for, empty when it votes.
    ///
    /// # Errors
    /// When there is no such member, or it may not.
    pub async fn promote(&self, member: &str) -> Result<String, Error> {
        let send = |channel, request: Request<_>| async move { cluster(channel).promote(request).await };
        Ok(self.masters.call(Repeat::Freely, named(member), send).await?.note)
    }

    /// Takes a voter's vote; it goes on serving.
    ///
    /// # Errors
    /// When there is no such member, or the rest could not go on.
    pub async fn demote(&self, member: &str) -> Result<String, Error> {
        let send = |channel, request: Request<_>| async move { cluster(channel).demote(request).await };
        Ok(self.masters.call(Repeat::Freely, named(member), send).await?.note)
    }

    /// Removes a member for good.
    ///
    /// # Errors
    /// When there is no such member, or the rest could not go on.
    pub async fn remove(&self, member: &str) -> Result<String, Error> {
        let send = |channel, request: Request<_>| async move { cluster(channel).remove(request).await };
        Ok(self.masters.call(Repeat::Freely, named(member), send).await?.note)
    }

    /// Hands leadership to a member, and waits until it leads.
    ///
    /// # Errors
    /// When there is no such member, or it does not vote or answer.
    pub async fn transfer_leadership(&self, member: &str) -> Result<String, Error> {
        let send = |channel, request: Request<_>| async move { cluster(channel).transfer_leadership(request).await };
        Ok(self.masters.call(Repeat::Freely, named(member), send).await?.note)
    }
}

/// Orders about members are idempotent: each says what is to be, not what is to change.
fn named(member: &str) -> v1::MemberRequest {
    v1::MemberRequest { member: member.to_owned() }
}
