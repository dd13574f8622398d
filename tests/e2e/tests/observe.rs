//! What a cluster shows of itself: metrics, the whole cluster through any member, the web page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests_e2e::client::Credentials;
use tests_e2e::{Client, Cluster};

fn observability() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/observability")
}

async fn text(client: &Client, path: &str) -> String {
    let reply = client.get(path).await.expect("an answer");
    assert!(reply.status.is_success(), "{path}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// Names of the metrics of a text, histograms with their suffixes.
fn served(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// Words of an expression that look like metrics of ours.
fn asked(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = ["trireme_", "apiserver_", "workqueue_", "scheduler_", "process_"];
    words.filter(move |word| ours.iter().any(|prefix| word.starts_with(prefix)))
}

fn expressions() -> Vec<String> {
    let alerts = std::fs::read_to_string(observability().join("alerts.yaml")).expect("the rules");
    let mut all: Vec<String> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned).collect();
    let dashboard = std::fs::read_to_string(observability().join("dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            all.push(target["expr"].as_str().expect("an expression").to_owned());
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alerts_ask_for_metrics_that_there_are() {
    let cluster = Cluster::up(3, 2).expect("a cluster");
    // Something of each: a write, a read, a watch, a pod that is placed.
    let leader = cluster.leader().await.expect("a leader");
    let client = cluster.client(leader).await.expect("a connection");
    let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]}});
    client.post("/api/v1/namespaces/default/pods", &pod).await.expect("an answer").success().expect("a pod");
    let watch = "/api/v1/pods?watch=true";
    let open = client.open(http::Method::GET, watch, "", bytes::Bytes::new()).await.expect("a watch");
    let begun = Instant::now();
    while client.get("/api/v1/namespaces/default/pods/p").await.expect("an answer").json().expect("a pod")["spec"]
        ["nodeName"]
        .is_null()
    {
        assert!(begun.elapsed() < Duration::from_secs(20), "the pod is not placed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut names = BTreeSet::new();
    for master in 0..3 {
        names.extend(served(&text(&cluster.client(master).await.expect("a connection"), "/metrics").await));
    }
    for port in [1, 2] {
        let mut address = cluster.front();
        address.set_port(address.port() + port);
        let client = Client::connect(address, cluster.credentials()).await.expect("a connection");
        names.extend(served(&text(&client, "/metrics").await));
    }
    drop(open);
    for expression in expressions() {
        for name in asked(&expression) {
            assert!(names.contains(name), "{expression}: nothing serves {name}");
        }
    }
    for stage in ["propose", "append", "fsync", "commit", "apply"] {
        assert!(names.contains(&format!("trireme_raft_{stage}_seconds_bucket")), "{stage}");
    }
}

#[test]
fn every_alert_is_tried_and_says_what_to_do() {
    let read = |name: &str| std::fs::read_to_string(observability().join(name)).expect("the rules");
    let (rules, tries) = (read("alerts.yaml"), read("alerts.test.yaml"));
    let advice = std::fs::read_to_string(observability().join("../../docs/OPERATIONS.md")).expect("the page");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 20, "the alerts are found: {alerts:?}");
    for alert in alerts {
        let page = format!("runbook: docs/OPERATIONS.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&page) && advice.contains(&format!("\n### {alert}\n")), "{alert}: what is to be done?");
        // promtool compares what is said as well, so the page is named where the alert is expected.
        let goes_off = format!("runbook: 'docs/OPERATIONS.md#{}'", alert.to_lowercase());
        assert!(tries.contains(&goes_off), "{alert} never goes off in alerts.test.yaml");
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    let run = |args: &[&str]| Command::new("promtool").args(args).current_dir(observability()).output();
    if run(&["--version"]).is_err() {
        eprintln!("SKIPPED: promtool is not installed");
        return;
    }
    // The files of a cluster need not be there.
    for args in [
        &["check", "rules", "alerts.yaml"][..],
        &["test", "rules", "alerts.test.yaml"],
        &["check", "config", "--syntax-only", "prometheus.yaml"],
    ] {
        let output = run(args).expect("promtool");
        let said = [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
        assert!(output.status.success(), "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_cluster_is_seen_through_any_member_before_and_after_a_death() {
    let cluster = Cluster::up(3, 0).expect("a cluster");
    let see = async |master: usize| -> Value {
        let client = cluster.client(master).await.expect("a connection");
        client.get("/trireme/cluster?historyAfterMs=0").await.expect("an answer").success().expect("the cluster")
    };
    for master in 0..3 {
        let seen = see(master).await;
        let members = seen["members"].as_array().expect("members");
        assert_eq!(members.len(), 3, "{seen}");
        for member in members {
            assert_eq!(member["report"]["name"], member["name"], "{member}");
            assert!(member["report"]["process"]["residentBytes"].as_u64() > Some(1 << 20), "{member}");
            assert!(!member["report"]["certificates"].as_array().expect("certificates").is_empty(), "{member}");
        }
        assert_eq!(members.iter().filter(|member| member["report"]["leads"] == true).count(), 1, "{seen}");
    }
    let dead = cluster.leader().await.expect("a leader");
    cluster.kill(&format!("m{}", dead + 1)).expect("killed");
    let witness = (dead + 1) % 3;
    let begun = Instant::now();
    loop {
        let seen = see(witness).await;
        let members = seen["members"].as_array().expect("members");
        let leads = members.iter().filter(|member| member["report"]["leads"] == true).count();
        if members[dead]["report"].is_null() && leads == 1 {
            assert!(members[dead]["error"].is_string(), "{seen}");
            let changes = members[witness]["history"]["changes"].as_array().expect("changes");
            assert!(changes.len() >= 2, "the failover is in the history: {changes:?}");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_master_shows_is_for_those_it_knows() {
    let cluster = Cluster::up(1, 1).expect("a cluster");
    let stranger = Client::connect(cluster.api(0), &Credentials::trusting_anyone()).await.expect("TLS");
    for path in ["/metrics", "/trireme/cluster", "/trireme/history", "/ui/"] {
        assert_eq!(stranger.get(path).await.expect("an answer").status.as_u16(), 401, "{path}");
    }
    let at = |name: &str| cluster.dir().join(name);
    let node = Credentials::read(&at("ca.crt"), &at("nodes/tls/node-1.crt"), &at("nodes/tls/node-1.key"))
        .expect("certificates");
    let node = Client::connect(cluster.api(0), &node).await.expect("TLS");
    for path in ["/metrics", "/trireme/cluster"] {
        assert_eq!(node.get(path).await.expect("an answer").status.as_u16(), 403, "{path}");
    }
    let admin = cluster.client(0).await.expect("a connection");
    assert!(text(&admin, "/ui/").await.contains("<title>Trireme</title>"));
}
