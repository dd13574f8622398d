//! A stock kube-apiserver runs on Trireme's store as on etcd, and etcd's own check is content with it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests_e2e::client::Credentials;
use tests_e2e::{Client, Cluster, etcd};

const TOKEN: &str = "e2e-administrator";
/// How long it may take until it serves.
const PATIENCE: Duration = Duration::from_secs(120);

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A stock server over a store, in a folder of its own; its address.
fn start(binary: &std::path::Path, store: &Cluster, dir: &std::path::Path) -> (Process, std::net::SocketAddr) {
    let key = dir.join("sa.key");
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output().expect("openssl");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    std::fs::write(dir.join("tokens"), format!("{TOKEN},admin,admin,system:masters\n")).unwrap();
    let urls: Vec<String> = (0..store.masters()).map(|index| format!("http://{}", store.etcd(index))).collect();
    // Within the ports of the store's cluster, which uses only some.
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], store.front().port() + 10));
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let child = Command::new(binary)
        .arg(format!("--etcd-servers={}", urls.join(",")))
        .arg("--bind-address=127.0.0.1")
        .arg(format!("--secure-port={}", address.port()))
        .arg("--endpoint-reconciler-type=none")
        .arg("--service-cluster-ip-range=10.96.0.0/16")
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-account-key-file={}", key.display()))
        .arg(format!("--service-account-signing-key-file={}", key.display()))
        .arg("--authorization-mode=RBAC")
        .arg(format!("--token-auth-file={}", dir.join("tokens").display()))
        .arg(format!("--cert-dir={}", dir.join("certs").display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("kube-apiserver");
    (Process(child), address)
}

async fn ready(address: std::net::SocketAddr, dir: &std::path::Path) -> Client {
    let begun = Instant::now();
    loop {
        if let Ok(client) = Client::connect(address, &Credentials::trusting_anyone()).await {
            let client = client.with_bearer(TOKEN);
            if client.get("/readyz").await.is_ok_and(|reply| reply.status.is_success()) {
                return client;
            }
        }
        if begun.elapsed() > PATIENCE {
            let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            panic!("kube-apiserver is not ready:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": "1"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_kube_apiserver_runs_on_the_store() {
    let Some(binary) = etcd::binary("kube-apiserver") else {
        eprintln!("SKIPPED: kube-apiserver is not at hand (TRIREME_PEERS names no folder with it, nor does PATH)");
        return;
    };
    let store = Cluster::store(3, "http").expect("a store");
    let dir = tempfile::tempdir().unwrap();
    let (_process, address) = start(&binary, &store, dir.path());
    let client = ready(address, dir.path()).await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let begun = Instant::now();
    while !client.get("/api/v1/namespaces/default").await.unwrap().status.is_success() {
        assert!(begun.elapsed() < PATIENCE, "the default namespace never came");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let list = client.get(maps).await.unwrap().success().unwrap();
    let from = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut events = client.watch(&format!("{maps}?watch=true&resourceVersion={from}")).await.unwrap();
    for name in ["a", "b", "c"] {
        client.post(maps, &config_map(name)).await.unwrap().success().unwrap();
    }
    client.merge(&format!("{maps}/a"), &json!({"data": {"n": "2"}})).await.unwrap().success().unwrap();
    // The leader dies: the server finds another member, and nothing is lost.
    let leader = store.leader().await.unwrap();
    store.kill(&format!("m{}", leader + 1)).unwrap();
    let begun = Instant::now();
    while !client
        .post(maps, &config_map("after"))
        .await
        .is_ok_and(|reply| reply.status.is_success() || reply.status == 409)
    {
        assert!(begun.elapsed() < PATIENCE, "no write after the leader's death");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Paged, so that a later page reads the revision of the first.
    let page = client.get(&format!("{maps}?limit=2")).await.unwrap().success().unwrap();
    client.post(maps, &config_map("late")).await.unwrap().success().unwrap();
    let rest = page["metadata"]["continue"].as_str().expect("there is more");
    let rest = client.get(&format!("{maps}?limit=50&continue={rest}")).await.unwrap().success().unwrap();
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = names(&page);
    all.extend(names(&rest));
    assert_eq!(all, ["a", "after", "b", "c"]);
    let mut seen = Vec::new();
    while !seen.contains(&"ADDED late".to_owned()) {
        let event =
            tokio::time::timeout(PATIENCE, events.next()).await.expect("events go on").unwrap().expect("an event");
        seen.push(format!(
            "{} {}",
            event["type"].as_str().unwrap(),
            event["object"]["metadata"]["name"].as_str().unwrap()
        ));
    }
    assert_eq!(seen, ["ADDED a", "ADDED b", "ADDED c", "MODIFIED a", "ADDED after", "ADDED late"]);
}

#[test]
fn etcds_own_performance_check_passes() {
    let Some(etcdctl) = etcd::binary("etcdctl") else {
        eprintln!("SKIPPED: etcdctl is not at hand (TRIREME_PEERS names no folder with it, nor does PATH)");
        return;
    };
    if std::env::var_os("TRIREME_CHECK_PERF").is_none() {
        eprintln!("SKIPPED: etcdctl check perf takes a minute of a quiet machine (TRIREME_CHECK_PERF=1)");
        return;
    }
    let store = Cluster::store(3, "http").expect("a store");
    let urls: Vec<String> = (0..3).map(|index| format!("http://{}", store.etcd(index))).collect();
    let output =
        Command::new(etcdctl).arg(format!("--endpoints={}", urls.join(","))).args(["check", "perf"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("PASS: Throughput"), "{text}");
}
