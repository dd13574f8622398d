//! Many writers of one object: a change that names no revision is made again until it fits, without asking a quorum again.

use std::sync::atomic::Ordering;

use http::StatusCode;
use serde_json::json;
use tests_solo::{Front, Solo};

use crate::server::Server;

const MAP: &str = "/api/v1/namespaces/default/configmaps/wanted";

#[tokio::test]
async fn a_change_that_others_overtake_asks_no_quorum_before_it_is_made_again() {
    let store = Solo::new();
    let contended = Front::of(store.clone());
    let server = Server::over(contended.clone(), store).await;
    let object = |data: &str| json!({"metadata": {"name": "wanted"}, "data": {"v": data}});
    server.post(&MAP.replace("/wanted", ""), &object("0")).await.ok();
    for (rivals, expected) in
        [(0, StatusCode::OK), (3, StatusCode::OK), (19, StatusCode::OK), (20, StatusCode::CONFLICT)]
    {
        contended.rivals.store(rivals, Ordering::SeqCst);
        contended.confirmed_reads.store(0, Ordering::SeqCst);
        let answer = server.put(MAP, &object(&format!("after {rivals}"))).await;
        assert_eq!(answer.code, expected, "{rivals} rivals");
        assert_eq!(contended.confirmed_reads.load(Ordering::SeqCst), 0, "{rivals} rivals");
    }
}
