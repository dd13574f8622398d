//! Who may do what, from outside.

use tests_e2e::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_health_and_nothing_else() {
    let cluster = Cluster::up(1, 0).expect("a cluster");
    let stranger = tests_e2e::Client::connect(cluster.api(0), &tests_e2e::client::Credentials::trusting_anyone())
        .await
        .expect("TLS");
    for (path, status) in
        [("/readyz", 200), ("/livez", 200), ("/healthz", 200), ("/api/v1/namespaces", 401), ("/trireme/standing", 401)]
    {
        assert_eq!(stranger.get(path).await.expect("an answer").status.as_u16(), status, "{path}");
    }
}
