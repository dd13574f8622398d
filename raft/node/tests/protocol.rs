//! What the peer port says to messages that it does not understand.

#![allow(missing_docs)]

mod cluster;

use api_proto::peer::peer_client::PeerClient;
use api_proto::peer::{Ballot, Header, VoteRequest};
use cluster::Cluster;
use raft_node::{MASTERS_GROUP, PEER_NAME, PROTOCOL};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

async fn client(cluster: &Cluster, organization: &str) -> PeerClient<Channel> {
    let tls = cluster.authority.issue(organization);
    let config = ClientTlsConfig::new()
        .domain_name(PEER_NAME)
        .ca_certificate(Certificate::from_pem(&tls.ca_pem))
        .identity(Identity::from_pem(&tls.cert_pem, &tls.key_pem));
    let address = cluster.config(1).peer_listen;
    let channel = Channel::from_shared(format!("https://{address}"))
        .map(|endpoint| endpoint.tls_config(config).expect("a configuration"))
        .expect("an address");
    PeerClient::new(channel.connect().await.expect("a connection"))
}

fn ask(header: Option<Header>) -> VoteRequest {
    VoteRequest {
        header,
        vote: Some(Ballot { term: 1, candidate: 2, granted_by_quorum: false }),
        last: None,
        leadership_transfer: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_versions_clusters_and_addressees_are_refused_with_the_reason() {
    let cluster = Cluster::start(1).await;
    let mut client = client(&cluster, MASTERS_GROUP).await;
    let good = Header { protocol: PROTOCOL, cluster: "test".to_owned(), from: 2, to: 1 };
    for (header, reason) in [
        (Header { protocol: 99, ..good.clone() }, "peer protocol version 99 is not spoken here, only 1"),
        (Header { cluster: "x".to_owned(), ..good.clone() }, "this member belongs to cluster test, not to x"),
        (Header { to: 5, ..good.clone() }, "this is member 1, not 5"),
    ] {
        let refused = client.pre_vote(ask(Some(header))).await.expect_err(reason);
        assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, reason));
    }
    assert_eq!(client.pre_vote(ask(None)).await.expect_err("no header").code(), Code::FailedPrecondition);
    let answer = client.pre_vote(ask(Some(good))).await.expect("an answer").into_inner();
    assert!(!answer.granted, "its log is longer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_masters_are_heard() {
    let cluster = Cluster::start(1).await;
    let mut client = client(&cluster, "system:nodes").await;
    let refused = client.pre_vote(ask(None)).await.expect_err("no master");
    assert_eq!(refused.code(), Code::PermissionDenied);
}
