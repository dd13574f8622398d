//! What every cluster has, though a manager ended in the midst of making it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use raft_state::port::Store;
use raft_state::{Action, Command, Expect, ObjectCommand};

use crate::server::Server;

const SERVICE: &str = "/api/v1/namespaces/default/services/kubernetes";
const CLAIM: &str = "/apis/networking.k8s.io/v1/ipaddresses/10.96.0.1";

#[tokio::test]
async fn a_claim_whose_service_was_never_written_keeps_no_later_manager_from_it() {
    let server = Server::new().await;
    let command = ObjectCommand {
        key: Bytes::from_static(b"/registry/core/services/default/kubernetes"),
        epoch: None,
        expect: Expect::Any,
        action: Action::Delete,
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    server.store.propose(vec![Command::Object(command)], deadline).await.expect("past the API, its claim stays");
    assert_eq!(server.get(SERVICE).await.code, StatusCode::NOT_FOUND);
    let before = server.get(CLAIM).await.ok();

    let next = Server::over(server.store.clone(), server.store).await;
    assert_eq!(next.get(SERVICE).await.ok()["spec"]["clusterIP"], "10.96.0.1");
    assert_ne!(next.get(CLAIM).await.ok()["metadata"]["uid"], before["metadata"]["uid"], "the claim is its own");
}
