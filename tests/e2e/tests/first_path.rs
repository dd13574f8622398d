//! What the README promises, with stock kubectl against real processes.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tests_e2e::Cluster;

fn kubectl_is_here() -> bool {
    let here = Command::new("kubectl").args(["version", "--client"]).output().is_ok_and(|o| o.status.success());
    if !here {
        eprintln!("SKIPPED: kubectl is not installed");
    }
    here
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs kubectl and expects success.
#[track_caller]
fn ok(cluster: &Cluster, args: &[&str]) -> String {
    let output = cluster.kubectl(args).expect("kubectl runs");
    assert!(
        output.status.success(),
        "kubectl {}: {}{}",
        args.join(" "),
        stdout(&output),
        String::from_utf8_lossy(&output.stderr)
    );
    stdout(&output)
}

/// Runs kubectl and expects a refusal whose text holds `message`.
#[track_caller]
fn refused(cluster: &Cluster, args: &[&str], message: &str) {
    let output = cluster.kubectl(args).expect("kubectl runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(message), "kubectl {}: {said}", args.join(" "));
}

/// Waits until a kubectl command prints `wanted`.
#[track_caller]
fn eventually(cluster: &Cluster, args: &[&str], wanted: &str) {
    let begun = Instant::now();
    loop {
        let printed = stdout(&cluster.kubectl(args).expect("kubectl runs"));
        if printed.trim() == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "kubectl {}: {printed:?}, not {wanted:?}", args.join(" "));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn manifest(cluster: &Cluster, name: &str, text: &str) -> String {
    let path = cluster.dir().join(name);
    std::fs::write(&path, text).expect("a temporary folder");
    path.display().to_string()
}

/// The README's example.
const WEB: &str = include_str!("../../../docs/examples/web.yaml");

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: shop}
stringData: {password: open-sesame-7311}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_runs_and_survives_its_leader() {
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::up(3, 5).expect("a cluster");
    eventually(
        &cluster,
        &["get", "nodes", "-o", "jsonpath={range .items[*]}{.status.conditions[?(@.type=='Ready')].status}{' '}{end}"],
        "True True True True True",
    );
    let web = manifest(&cluster, "web.yaml", WEB);
    ok(&cluster, &["apply", "-f", &web]);
    ok(&cluster, &["rollout", "status", "deployment/web", "--timeout=60s"]);
    let running = [
        "get",
        "pods",
        "-l",
        "app=web",
        "--field-selector=status.phase=Running",
        "-o",
        "jsonpath={.items[*].spec.nodeName}",
    ];
    assert_eq!(ok(&cluster, &running).split_whitespace().count(), 10);

    let leader = cluster.leader().await.expect("a leader");
    cluster.kill(&format!("m{}", leader + 1)).expect("a kill");
    ok(&cluster, &["scale", "deployment/web", "--replicas=20"]);
    ok(&cluster, &["rollout", "status", "deployment/web", "--timeout=60s"]);
    assert_eq!(ok(&cluster, &running).split_whitespace().count(), 20);
    eventually(
        &cluster,
        &[
            "get",
            "endpointslices",
            "-l",
            "kubernetes.io/service-name=web",
            "-o",
            "jsonpath={.items[*].endpoints[*].conditions.ready}",
        ],
        &["true"; 20].join(" "),
    );

    cluster.start(&format!("m{}", leader + 1)).expect("the dead master comes back");
    ok(&cluster, &["set", "image", "deployment/web", "nginx=nginx:1.29"]);
    ok(&cluster, &["rollout", "status", "deployment/web", "--timeout=60s"]);
    ok(&cluster, &["rollout", "undo", "deployment/web"]);
    ok(&cluster, &["rollout", "status", "deployment/web", "--timeout=60s"]);
    eventually(
        &cluster,
        &["get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"],
        "nginx:1.28",
    );

    ok(&cluster, &["delete", "-f", &web, "--timeout=60s"]);
    eventually(&cluster, &["get", "pods,replicasets,endpointslices", "-l", "app=web", "-o", "name"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_what_it_expects_of_a_cluster() {
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::up(1, 1).expect("a cluster");
    for namespace in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        ok(&cluster, &["get", "namespace", namespace]);
        eventually(
            &cluster,
            &["get", "serviceaccount", "default", "-n", namespace, "-o", "name"],
            "serviceaccount/default",
        );
        eventually(
            &cluster,
            &["get", "configmap", "kube-root-ca.crt", "-n", namespace, "-o", "name"],
            "configmap/kube-root-ca.crt",
        );
    }
    eventually(
        &cluster,
        &["get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}:{.spec.ports[0].port}"],
        "10.96.0.1:443",
    );
    assert!(ok(&cluster, &["version"]).contains("Server Version: v1.37"));
    assert!(ok(&cluster, &["api-resources"]).contains("deployments"));
    assert!(ok(&cluster, &["explain", "deployment.spec.strategy"]).contains("rollingUpdate"));
    let review = r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"create","resource":"pods"}}}"#;
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = ok(&cluster, &["create", "--raw", reviews, "-f", &manifest(&cluster, "review.json", review)]);
    assert!(answer.contains(r#""allowed":true"#), "{answer}");

    ok(&cluster, &["apply", "-f", &manifest(&cluster, "shop.yaml", SHOP)]);
    ok(&cluster, &["label", "configmap", "settings", "-n", "shop", "tier=front"]);
    ok(&cluster, &["annotate", "configmap", "settings", "-n", "shop", "note=1"]);
    ok(
        &cluster,
        &[
            "patch",
            "configmap",
            "settings",
            "-n",
            "shop",
            "--type=json",
            "-p",
            r#"[{"op":"add","path":"/data/size","value":"9"}]"#,
        ],
    );
    eventually(
        &cluster,
        &["get", "configmap", "settings", "-n", "shop", "-o", "jsonpath={.data}"],
        r#"{"colour":"blue","size":"9"}"#,
    );
    assert!(ok(&cluster, &["describe", "configmap", "settings", "-n", "shop"]).contains("colour"));
    refused(&cluster, &["create", "-f", &manifest(&cluster, "shop.yaml", SHOP)], "already exists");
    refused(&cluster, &["get", "pod", "nobody"], r#"pods "nobody" not found"#);
    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n";
    refused(&cluster, &["create", "-f", &manifest(&cluster, "bad.yaml", bad)], "a lowercase RFC 1123 subdomain");
    refused(&cluster, &["delete", "namespace", "kube-system"], "is forbidden");
    ok(
        &cluster,
        &[
            "apply",
            "--server-side",
            "-n",
            "shop",
            "-f",
            &manifest(
                &cluster,
                "ssa.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {a: '1'}\n",
            ),
        ],
    );
    ok(
        &cluster,
        &[
            "apply",
            "--server-side",
            "-n",
            "shop",
            "--dry-run=server",
            "-f",
            &manifest(
                &cluster,
                "ssa2.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {b: '2'}\n",
            ),
        ],
    );
    eventually(&cluster, &["get", "configmap", "applied", "-n", "shop", "-o", "jsonpath={.data}"], r#"{"a":"1"}"#);

    // Whatever lies on disk, a Secret's value is not to be read in it.
    let found = Command::new("grep")
        .args(["-rlaE", "open-sesame-7311|b3Blbi1zZXNhbWUtNzMxMQ"])
        .arg(cluster.dir().join("m1/data"))
        .output()
        .expect("grep");
    assert_eq!(stdout(&found), "", "a Secret in plain text");

    ok(&cluster, &["delete", "namespace", "shop", "--timeout=30s"]);
    refused(&cluster, &["get", "configmap", "settings", "-n", "shop"], "not found");
}
