//! The command line: help, completion, man pages, configuration, `trireme top`.

use std::path::Path;
use std::process::{Command, Output};

use tests_e2e::Cluster;
use tests_e2e::cluster::binary;

fn trireme(args: &[&str]) -> Output {
    Command::new(binary()).args(args).env_remove("TRIREME_CONFIG").output().expect("the binary; ./x test builds it")
}

#[track_caller]
fn ok(args: &[&str]) -> String {
    let output = trireme(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn completions_and_man_pages_are_generated() {
    for (shell, expected) in [("bash", "_trireme()"), ("zsh", "#compdef trireme"), ("fish", "complete -c trireme")] {
        assert!(ok(&["completion", shell]).contains(expected), "{shell}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    ok(&["man", folder.path().to_str().expect("UTF-8")]);
    let pages: Vec<String> = std::fs::read_dir(folder.path())
        .expect("pages")
        .map(|entry| entry.expect("a page").file_name().to_string_lossy().into_owned())
        .collect();
    for page in ["trireme.1", "trireme-server.1", "trireme-top.1", "trireme-certs-issue.1"] {
        assert!(pages.iter().any(|found| found == page), "{page} is not among {pages:?}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_configuration_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.yaml");
    let path = file.to_str().expect("UTF-8");
    let check = |text: &str, expected: &[&str]| {
        std::fs::write(&file, text).expect("written");
        let output = trireme(&["server", "--config", path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{text}");
        for words in expected {
            assert!(said.contains(words), "{text}: {words:?} is not in\n{said}");
        }
    };
    check(
        "api-listen: nowhere\nmembers: x\npeer-listen: 7\n",
        &["api-listen: ", "members: there is no such", "is member meant?", "peer-listen: "],
    );
    let whole = format!(
        "name: m9\ncluster-id: c\ndata-dir: {0}/data\ntls-dir: {0}/tls\nmember: ['1=m1,a:1,a:2', '1=m2,b:1,b:2']\n",
        folder.path().display()
    );
    check(
        &whole,
        &["m9 is none of the members", "have the same id", "ca.crt", "apiserver.crt", "peer.crt", "secrets.key"],
    );
}

#[test]
fn the_configuration_in_force_names_its_sources() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd/server.yaml");
    let shown = ok(&["config", "show", "server", "--config", example.to_str().expect("UTF-8"), "--name=m2"]);
    for line in ["name: m2  # flag", "cluster-id: production  # file", "log-json: false  # default"] {
        assert!(shown.lines().any(|found| found == line), "{line} is not in\n{shown}");
    }
    // What is shown is a configuration file again.
    let folder = tempfile::tempdir().expect("a folder");
    let again = folder.path().join("again.yaml");
    std::fs::write(&again, &shown).expect("written");
    assert!(ok(&["config", "show", "server", "--config", again.to_str().expect("UTF-8")]).contains("name: m2  # file"));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: systemd-analyze is not installed");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd");
    for unit in ["trireme-server.service", "trireme-front.service", "trireme-agent.service"] {
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(folder.join(unit))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // The binary is not installed here, nor are the users made.
        let wrong: Vec<&str> =
            said.lines().filter(|line| line.contains(unit) && !line.contains("is not executable")).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_the_cluster_through_any_member() {
    let cluster = Cluster::up(3, 2).expect("a cluster");
    let leader = cluster.leader().await.expect("a leader") + 1;
    let config = cluster.dir().join("kubeconfig");
    for master in 0..3 {
        let address = cluster.api(master).to_string();
        let config = config.to_str().expect("UTF-8");
        let shown = ok(&["top", "--once", "--kubeconfig", config, "--api", &address]);
        for words in [&format!("leader m{leader}"), "3 of 3 members answer", &format!("seen through m{}", master + 1)] {
            assert!(shown.contains(words), "{words:?} is not in\n{shown}");
        }
        assert!(!shown.contains('\x1b'), "no colours in a script's output");
    }
    cluster.kill("m1").expect("killed");
    cluster.leader().await.expect("another leader");
    let shown = ok(&["top", "--once", "--kubeconfig", config.to_str().expect("UTF-8")]);
    assert!(shown.contains("2 of 3 members answer") && shown.contains("gone: "), "{shown}");
}
