//! etcdctl's commands on Trireme print what they print on etcd, and end with the same codes.

use std::path::Path;

use tests_e2e::Cluster;
use tests_e2e::etcd::{self, Etcd, Subject};

fn endpoints(addresses: &[std::net::SocketAddr], scheme: &str) -> (String, String) {
    let urls: Vec<String> = addresses.iter().map(|address| format!("{scheme}://{address}")).collect();
    ("ETCDCTL_ENDPOINTS".to_owned(), urls.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_prints_what_etcd_makes_it_print() {
    let Some(etcdctl) = etcd::binary("etcdctl") else {
        eprintln!("SKIPPED: etcdctl is not at hand (TRIREME_PEERS names no folder with it, nor does PATH)");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/etcd/commands.txt");
    match etcd::binary("etcd") {
        None => eprintln!("SKIPPED in part: etcd is not at hand, so its recorded answers are taken on trust"),
        Some(binary) => {
            let peer = Etcd::start(&binary, None).expect("etcd");
            peer.wait_until_healthy().await.expect("etcd");
            let environment = vec![endpoints(&peer.addresses(), "http")];
            let subject = Subject { name: "etcd", etcdctl: etcdctl.clone(), environment };
            if std::env::var_os("TRIREME_RECORD").is_some() {
                etcd::record(&subject, &script).expect("recorded");
            } else {
                etcd::check(&subject, &script).unwrap();
            }
        }
    }
    let cluster = Cluster::store(3, "http").expect("a store");
    let addresses: Vec<_> = (0..3).map(|index| cluster.etcd(index)).collect();
    let environment = vec![endpoints(&addresses, "http")];
    etcd::check(&Subject { name: "trireme", etcdctl, environment }, &script).unwrap();
}

/// Beside Kubernetes: only with a certificate, objects as JSON, and not to be written.
#[tokio::test(flavor = "multi_thread")]
async fn beside_kubernetes_objects_are_for_reading() {
    let Some(etcdctl) = etcd::binary("etcdctl") else {
        eprintln!("SKIPPED: etcdctl is not at hand (TRIREME_PEERS names no folder with it, nor does PATH)");
        return;
    };
    let cluster = Cluster::up(1, 0).expect("a cluster");
    let at = |name: &str| cluster.dir().join(name).display().to_string();
    let run = |with_certificate: bool, args: &[&str]| {
        let mut command = std::process::Command::new(&etcdctl);
        command.arg(format!("--endpoints=https://{}", cluster.etcd(0))).arg(format!("--cacert={}", at("ca.crt")));
        if with_certificate {
            command.args([format!("--cert={}", at("admin.crt")), format!("--key={}", at("admin.key"))]);
        }
        let output = command.args(["--dial-timeout=1s", "--command-timeout=2s"]).args(args).output().expect("etcdctl");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (done, text) = run(true, &["get", "/registry/core/namespaces/kube-system", "--print-value-only"]);
    assert!(done && text.contains(r#""resourceVersion":""#) && text.contains(r#""name":"kube-system""#), "{text}");
    let (done, text) = run(true, &["put", "/registry/core/namespaces/mine", "{}"]);
    assert!(!done && text.contains("/registry/ is read-only here"), "{text}");
    let (done, text) = run(true, &["del", "", "--prefix"]);
    assert!(!done && text.contains("/registry/ is read-only here"), "{text}");
    assert_eq!(run(true, &["put", "mine", "1"]), (true, "OK\n".to_owned()));
    let (done, _) = run(false, &["get", "mine"]);
    assert!(!done, "nobody reads without a certificate");
}
