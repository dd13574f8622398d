//! Certificates are issued anew under a running cluster's load, and nobody notices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests_e2e::Cluster;

/// Since when each certificate of each master is good, as the master itself says.
async fn since(cluster: &Cluster) -> BTreeMap<(String, String), i64> {
    let client = cluster.client(0).await.expect("a connection");
    let seen = client.get("/trireme/cluster").await.expect("an answer").success().expect("the cluster");
    let mut all = BTreeMap::new();
    for member in seen["members"].as_array().expect("members") {
        for certificate in member["report"]["certificates"].as_array().into_iter().flatten() {
            let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = (name(&member["name"]), name(&certificate["name"]));
            all.insert(key, certificate["notBefore"].as_i64().expect("a time"));
        }
    }
    all
}

/// Writes without a pause until told to stop; what fails is counted.
async fn write(cluster: Arc<Cluster>, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) -> Vec<String> {
    let client = cluster.client(0).await.expect("a connection");
    let mut failures = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{number}")}});
        match client.post("/api/v1/namespaces/default/configmaps", &object).await {
            Ok(reply) if reply.status.is_success() => drop(written.fetch_add(1, Ordering::Relaxed)),
            Ok(reply) => failures.push(format!("{}: {}", reply.status, String::from_utf8_lossy(&reply.body))),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    failures
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_taken_up_without_a_failed_request() {
    let cluster = Arc::new(Cluster::up(3, 2).expect("a cluster"));
    let before = since(&cluster).await;
    assert_eq!(before.len(), 9, "authority, API and peer of three masters: {before:?}");
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicU64>::default());
    let writer = tokio::spawn(write(cluster.clone(), stop.clone(), written.clone()));
    // Certificates say when they begin in whole seconds.
    while written.load(Ordering::Relaxed) < 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    cluster.local(&["renew"]).expect("renewed");
    let begun = Instant::now();
    loop {
        let now = since(&cluster).await;
        let renewed = |(key, was): (&(String, String), &i64)| key.1 == "ca" || now.get(key).is_some_and(|is| is > was);
        if now.len() == 9 && before.iter().all(renewed) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{before:?} {now:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Members that connect anew do it with the new certificates.
    let follower = (cluster.leader().await.expect("a leader") + 1) % 3;
    if follower == 0 {
        // The writer's own connection ends with its master.
        stop.store(true, Ordering::Relaxed);
    }
    let name = format!("m{}", follower + 1);
    cluster.local(&["stop", &name]).expect("stopped");
    cluster.start(&name).expect("started");
    let at_rest = written.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    let failures = writer.await.expect("the writer");
    assert!(failures.is_empty(), "{} of {at_rest} failed: {:?}", failures.len(), failures.first());
    let nodes = cluster.client(follower).await.expect("a connection").get("/api/v1/nodes").await.expect("an answer");
    assert_eq!(nodes.success().expect("nodes")["items"].as_array().map(Vec::len), Some(2));
}
