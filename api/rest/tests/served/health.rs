//! When a member says that it is ready.

use http::{Method, StatusCode};
use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn a_member_is_ready_once_the_cluster_has_what_every_cluster_has() {
    let server = Server::new().await;
    let ready = || server.send(Method::GET, "/readyz?verbose", &[], String::new());
    let namespaces = "/api/v1/namespaces";
    let unready = ready().await;
    assert_eq!(unready.code, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(String::from_utf8_lossy(&unready.body).contains("[-]bootstrap failed"));
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        server.post(namespaces, &json!({"metadata": {"name": name}})).await;
    }
    assert_eq!(ready().await.code, StatusCode::INTERNAL_SERVER_ERROR, "pods have no account to run as");
    server.post(&format!("{namespaces}/default/serviceaccounts"), &json!({"metadata": {"name": "default"}})).await.ok();
    assert_eq!(ready().await.code, StatusCode::OK);
    // What is deleted later comes back, and nobody stops serving for it.
    server.delete(&format!("{namespaces}/default/serviceaccounts/default"), &json!({})).await.ok();
    assert_eq!(ready().await.code, StatusCode::OK);
}
