//! Masters that come, go, die, lose their memory: real processes, under load, with the commands that people use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests_e2e::{Client, Cluster};

const PATH: &str = "/api/v1/namespaces/default/configmaps";

/// A client of the front door that writes one object after the other until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    writer: tokio::task::JoinHandle<Written>,
}

#[derive(Default)]
struct Written {
    names: Vec<String>,
    failures: Vec<String>,
    /// Requests whose connection broke after they were sent.
    broken: usize,
    longest: Duration,
}

impl Load {
    fn start(cluster: &Arc<Cluster>, tag: &'static str) -> Self {
        let (stop, cluster) = (Arc::new(AtomicBool::new(false)), cluster.clone());
        let stopped = stop.clone();
        let writer = tokio::spawn(async move {
            let mut written = Written::default();
            let mut client = None;
            while !stopped.load(Ordering::Relaxed) {
                let name = format!("{tag}-{}", written.names.len());
                let begun = Instant::now();
                write(&cluster, &mut client, &name, &mut written).await;
                written.longest = written.longest.max(begun.elapsed());
                written.names.push(name);
            }
            written
        });
        Self { stop, writer }
    }

    async fn end(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.await.expect("a writer")
    }
}

/// Writes one object, over a new connection when the old one ended, as every HTTP client does.
async fn write(cluster: &Cluster, client: &mut Option<Client>, name: &str, written: &mut Written) {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let mut sent = false;
    for _ in 0..200 {
        let connected = match client.take() {
            Some(connected) => Some(connected),
            None => Client::connect(cluster.front(), cluster.credentials()).await.ok(),
        };
        let Some(connected) = connected else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        match connected.post(PATH, &object).await {
            Ok(reply) if reply.status.is_success() => {
                *client = Some(connected);
                return;
            }
            Ok(reply) if sent && reply.status.as_u16() == 409 => {
                written.broken += 1;
                *client = Some(connected);
                return;
            }
            Ok(reply) => {
                written.failures.push(format!("{name}: {} {}", reply.status, String::from_utf8_lossy(&reply.body)));
                return;
            }
            Err(_) => sent = true,
        }
    }
    written.failures.push(format!("{name}: nobody answers"));
}

fn status(cluster: &Cluster) -> Value {
    let printed = cluster.ctl(&["status", "-o", "json"]).expect("a status");
    serde_json::from_str(&printed).expect("JSON")
}

fn roles(status: &Value, role: &str) -> usize {
    let members = status["members"].as_array().expect("members");
    members.iter().filter(|m| m["voter"] == (role == "voter")).count()
}

/// Waits until so many vote and so many do not.
#[track_caller]
fn becomes(cluster: &Cluster, voters: usize, learners: usize) {
    let begun = Instant::now();
    loop {
        let now = status(cluster);
        if (roles(&now, "voter"), roles(&now, "learner")) == (voters, learners) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{voters} voters, {learners} learners: {now:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn holds(cluster: &Cluster, master: usize, names: &[String]) {
    let client = cluster.client(master).await.expect("a connection");
    let list = client.get(PATH).await.expect("an answer").success().expect("a list");
    let items = list["items"].as_array().expect("items");
    let held: std::collections::BTreeSet<&str> = items.iter().filter_map(|i| i["metadata"]["name"].as_str()).collect();
    let lost: Vec<&String> = names.iter().filter(|name| !held.contains(name.as_str())).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_grows_to_five_and_shrinks_to_one_and_no_request_fails() {
    let cluster = Arc::new(Cluster::up(1, 0).expect("a cluster"));
    let loads: Vec<Load> = ["a", "b", "c"].map(|tag| Load::start(&cluster, tag)).into();
    let begun = Instant::now();
    cluster.local(&["up", "--masters=3"]).expect("three masters");
    becomes(&cluster, 3, 0);
    cluster.local(&["add"]).expect("a fourth");
    let four = cluster.ctl(&["status"]).expect("a status");
    assert!(four.contains("learner"), "a fourth waits for a fifth:\n{four}");
    cluster.local(&["add"]).expect("a fifth");
    becomes(&cluster, 5, 0);
    let grown = begun.elapsed();
    for name in ["m5", "m4", "m3", "m2"] {
        cluster.local(&["remove", name]).expect("a removal");
    }
    becomes(&cluster, 1, 0);
    eprintln!("grown to five within {grown:?}, shrunk to one after {:?}", begun.elapsed());
    for load in loads {
        let written = load.end().await;
        eprintln!(
            "{} writes, {} broken connections, the longest took {:?}",
            written.names.len(),
            written.broken,
            written.longest
        );
        assert!(written.failures.is_empty(), "{:?}", written.failures);
        assert!(written.names.len() > 20, "{}", written.names.len());
        holds(&cluster, 0, &written.names).await;
    }
    let refused = cluster.ctl(&["remove", "m1"]).expect_err("the last one").to_string();
    assert!(refused.contains("add another master first"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_die_lose_their_memory_and_the_last_one_begins_anew() {
    let cluster = Arc::new(Cluster::up(3, 0).expect("a cluster"));
    let load = Load::start(&cluster, "before");
    // A dead master is replaced by one command.
    cluster.kill("m2").expect("a kill");
    cluster.local(&["replace", "m2"]).expect("a replacement");
    becomes(&cluster, 3, 0);
    assert_eq!(cluster.standing(1).await.expect("m2")["id"], 4, "m2 is another member now");
    // One whose folder was emptied comes back by itself.
    cluster.kill("m3").expect("a kill");
    std::fs::remove_dir_all(cluster.dir().join("m3/data")).expect("an emptied folder");
    cluster.start("m3").expect("it serves");
    becomes(&cluster, 3, 0);
    assert_eq!(cluster.standing(2).await.expect("m3")["id"], 5, "m3 is another member now");
    let written = load.end().await;
    assert!(written.failures.is_empty(), "{:?}", written.failures);
    for master in 0..3 {
        holds(&cluster, master, &written.names).await;
    }
    // All die, and one disk is left.
    let before = cluster.standing(0).await.expect("m1")["revision"].as_u64().expect("a revision");
    for name in ["m1", "m2", "m3"] {
        cluster.kill(name).expect("a kill");
    }
    cluster.local(&["recover", "m1"]).expect("a recovery");
    let after = cluster.standing(0).await.expect("m1");
    assert!(after["revision"].as_u64().expect("a revision") >= before + 1_000_000_000, "{after}");
    holds(&cluster, 0, &written.names).await;
    let stale = cluster.client(0).await.expect("m1").get(&format!("{PATH}?watch=1&resourceVersion={before}")).await;
    let stale = stale.expect("an answer");
    assert!(String::from_utf8_lossy(&stale.body).contains("410"), "{:?}", String::from_utf8_lossy(&stale.body));
    let load = Load::start(&cluster, "after");
    cluster.local(&["up", "--masters=3"]).expect("it grows again");
    becomes(&cluster, 3, 0);
    let again = load.end().await;
    assert!(again.failures.is_empty(), "{:?}", again.failures);
    // Names are not given twice: with m1 there are m4 and m5 now.
    for master in [0, 3, 4] {
        holds(&cluster, master, &written.names).await;
        holds(&cluster, master, &again.names).await;
    }
}
