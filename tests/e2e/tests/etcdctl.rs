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

/// Debian's etcdctl, under its own name in a folder: in the peers' folder as `etcdctl-3.4`, or installed.
fn etcdctl_of_debian() -> Option<tempfile::TempDir> {
    let is_it = |path: &Path| {
        let output = std::process::Command::new(path).arg("version").env("ETCDCTL_API", "3").output().ok()?;
        String::from_utf8_lossy(&output.stdout).contains("etcdctl version: 3.4").then(|| path.to_owned())
    };
    let installed =
        etcd::binary("etcdctl").and_then(|path| is_it(&path)).or_else(|| is_it(Path::new("/usr/bin/etcdctl")));
    let path = etcd::binary("etcdctl-3.4").and_then(|path| is_it(&path)).or(installed)?;
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(path.canonicalize().expect("a path"), folder.path().join("etcdctl")).expect("a link");
    Some(folder)
}

/// The client of etcd 3.4 dials single members by their URLs, and sends those as if they were host and port.
#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_of_debian_prints_the_same_on_both() {
    let (Some(folder), Some(binary)) = (etcdctl_of_debian(), etcd::binary("etcd")) else {
        eprintln!(
            "SKIPPED: etcdctl 3.4 or etcd is not at hand (TRIREME_PEERS names no folder with them, nor does PATH)"
        );
        return;
    };
    let etcdctl = folder.path().join("etcdctl");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/etcd/commands.txt");
    let peer = Etcd::start(&binary, None).expect("etcd");
    peer.wait_until_healthy().await.expect("etcd");
    let store = Cluster::store(3, "http").expect("a store");
    let addresses: Vec<_> = (0..3).map(|index| store.etcd(index)).collect();
    let subject = |name, addresses: &[std::net::SocketAddr]| {
        let environment = vec![endpoints(addresses, "http"), ("ETCDCTL_API".to_owned(), "3".to_owned())];
        Subject { name, etcdctl: etcdctl.clone(), environment }
    };
    etcd::compare(&subject("etcd", &peer.addresses()), &subject("trireme", &addresses), &script).unwrap();
    // By certificates, as it comes with most clusters.
    let store = Cluster::store(1, "https").expect("a store");
    let at = |name: &str| store.dir().join(name).display().to_string();
    let status = std::process::Command::new(&etcdctl)
        .arg(format!("--endpoints=https://{}", store.etcd(0)))
        .args([format!("--cacert={}", at("ca.crt")), format!("--cert={}", at("admin.crt"))])
        .args([format!("--key={}", at("admin.key")), "endpoint".to_owned(), "status".to_owned()])
        .env("ETCDCTL_API", "3")
        .output()
        .expect("etcdctl");
    let said = String::from_utf8_lossy(&status.stdout).into_owned() + &String::from_utf8_lossy(&status.stderr);
    assert!(status.status.success() && said.contains("3.7.3"), "{said}");
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
