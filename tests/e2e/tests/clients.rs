//! Clients of others against real processes, where they can be had.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tests_e2e::{Client, Cluster};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Builds the informer of client-go; `None`, with the reason printed, where Go or its modules are not at hand.
fn informer(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/go");
    let program = folder.join("informer");
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".").current_dir(source);
    match go.env("GOTOOLCHAIN", "local").output() {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            eprintln!("SKIPPED: no client-go: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            eprintln!("SKIPPED: no Go: {error}");
            None
        }
    }
}

/// A running informer, and what it has printed.
struct Informer {
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Informer {
    fn start(program: &Path, cluster: &Cluster) -> Self {
        let kubeconfig = cluster.dir().join("kubeconfig");
        let mut process = Command::new(program)
            .arg(kubeconfig)
            .arg("default")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the informer starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (out, into) = (process.stdout.take().expect("piped"), lines.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                into.lock().expect("nobody panics with it").push(line);
            }
        });
        Self { process, lines }
    }

    fn printed(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics with it").clone()
    }

    /// Waits until it has printed a line.
    async fn until(&self, line: &str) {
        let begun = Instant::now();
        while !self.printed().iter().any(|printed| printed == line) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no {line:?} in {:#?}", self.printed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Informer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes a map, and counts up another.
async fn write(client: &Client, n: usize) {
    let map = json!({"metadata": {"name": format!("map-{n}")}, "data": {"n": n.to_string()}});
    client.post(MAPS, &map).await.expect("an answer").success().expect("a map");
    let counted = client.merge(&format!("{MAPS}/counter"), &json!({"data": {"n": n.to_string()}})).await;
    counted.expect("an answer").success().expect("a count");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_informer_misses_nothing_while_every_master_dies_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(program) = informer(folder.path()) else { return };
    let cluster = Cluster::up(3, 0).expect("a cluster");
    let first = cluster.client(0).await.expect("a client");
    first.post(MAPS, &json!({"metadata": {"name": "counter"}})).await.expect("an answer").success().expect("a counter");
    let informer = Informer::start(&program, &cluster);
    informer.until("SYNCED").await;
    let mut written = 0;
    for victim in 0..3 {
        let client = cluster.client((victim + 1) % 3).await.expect("a client");
        for n in 0..20 {
            if n == 5 {
                cluster.kill(&format!("m{}", victim + 1)).expect("a running master");
            }
            written += 1;
            write(&client, written).await;
        }
        cluster.start(&format!("m{}", victim + 1)).expect("it starts again");
    }
    informer.until(&format!("MODIFIED counter {written}")).await;
    let printed = informer.printed();
    let of = |what: &str| -> Vec<String> {
        printed.iter().filter_map(|line| line.strip_prefix(what)).map(str::to_owned).collect()
    };
    let counted: Vec<usize> = of("MODIFIED counter ").iter().map(|n| n.parse().expect("a number")).collect();
    assert_eq!(counted, (1..=written).collect::<Vec<_>>(), "every change, once and in order");
    let mut added: BTreeMap<String, usize> = BTreeMap::new();
    for name in of("ADDED map-") {
        *added.entry(name).or_default() += 1;
    }
    assert_eq!((added.len(), added.values().max()), (written, Some(&1)), "every map, once");
    assert_eq!(of("BEGIN").len(), 1, "it never had to begin anew: {printed:#?}");
    assert!(!of("RESUME").is_empty(), "its watch was cut when its master died: {printed:#?}");
}
