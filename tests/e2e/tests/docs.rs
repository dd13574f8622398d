//! The command lines of README and docs, run as they are printed: every block marked `sh`, page by page, in order.
//!
//! A block may name what it needs after `sh` (```` ```sh grpcurl ````); where that is missing, the block is skipped and says so.
//! Two words say who runs a block: `apart` stands for clusters beside the first, `docker` for compose.rs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests_e2e::Cluster;
use tests_e2e::cluster::binary;
use tests_e2e::pages::{self, Block, root};
use tests_e2e::ports::Ports;

/// Pages that begin with `./x up`.
const FROM_THE_START: [&str; 2] = ["README.md", "docs/FIRST_HOUR.md"];
/// Pages for whoever has a cluster.
const WITH_A_CLUSTER: [&str; 2] = ["docs/OPERATIONS.md", "docs/CLIENTS.md"];
/// Clusters that the pages make.
const CLUSTERS: [&str; 3] = [".trireme", "store", ".restored"];

fn blocks(page: &str) -> Vec<Block> {
    pages::blocks(page).into_iter().filter(|block| block.language == "sh").collect()
}

/// The path, and after it the folder of peers: what the machine has comes first.
fn path_and_peers() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::var("TRIREME_PEERS").map_or_else(|_| path.clone(), |peers| format!("{path}:{peers}"))
}

fn has(need: &str) -> bool {
    let asked = match need {
        "python3-kubernetes" => "python3 -c 'import kubernetes'".to_owned(),
        // client-go takes minutes to compile.
        "trireme-test-go" => "command -v go && [ -n \"${TRIREME_TEST_GO:-}\" ]".to_owned(),
        program => format!("command -v {program}"),
    };
    let output = Command::new("sh").args(["-c", &asked]).env("PATH", path_and_peers()).output();
    output.is_ok_and(|output| output.status.success())
}

/// A place to run commands in: the tree's docs and deploy folders, the binary on the path, `./x` for what it hands through.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(base_port: Option<u16>) -> Self {
        let folder = tempfile::Builder::new().prefix("trireme-docs-").tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["docs", "deploy"] {
            std::os::unix::fs::symlink(root().join(name), at(name)).expect("a link");
        }
        std::fs::create_dir_all(at("target/release")).expect("a folder");
        std::os::unix::fs::symlink(binary(), at("target/release/trireme")).expect("a link");
        let ports = base_port.map_or_else(String::new, |port| format!(" --base-port {port}"));
        // What builds is left out: the binary is there. A cluster in a folder that is named knows its ports.
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n  build) exit 0;;\n  up*--dir*) exec target/release/trireme local \"$@\";;\n  \
             up*) shift; exec target/release/trireme local up{ports} \"$@\";;\n  \
             *) exec target/release/trireme local \"$@\";;\nesac\n"
        );
        std::fs::write(at("x"), script).expect("written");
        std::fs::set_permissions(at("x"), std::fs::Permissions::from_mode(0o755)).expect("executable");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the blocks of a page in one shell each, with what was exported carried along.
    fn run(&self, page: &str, blocks: &[Block], kubeconfig: Option<&Path>) {
        let mut script = String::from("set -euo pipefail\nexport KUBECACHEDIR=$PWD/cache\n");
        let mut skipped = Vec::new();
        for block in blocks {
            let tools = block.needs.iter().map(String::as_str).filter(|need| *need != "apart");
            let missing: Vec<&str> = tools.filter(|need| !has(need)).collect();
            if !missing.is_empty() {
                skipped.push(format!("{page}:{} needs {}", block.line, missing.join(", ")));
                continue;
            }
            script.push_str(&format!(
                "echo '--- {page}:{}' >&2\nset -x\n{}{{ set +x; }} 2>/dev/null\n",
                block.line, block.text
            ));
        }
        for skip in &skipped {
            eprintln!("SKIPPED: {skip}");
        }
        let bin = self.path("target/release");
        let mut command = Command::new("bash");
        command
            .args(["-c", &script])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{}", bin.display(), path_and_peers()))
            .env_remove("TRIREME_DIR");
        if let Some(kubeconfig) = kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let output = command.output().expect("bash");
        let said = [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
        assert!(output.status.success(), "{said}");
    }
}

impl Drop for Place {
    /// A page that fails half-way leaves its clusters running. One that is lent to the page is its owner's to stop.
    fn drop(&mut self) {
        for name in CLUSTERS {
            let cluster = self.path(name);
            if cluster.exists() && !cluster.is_symlink() {
                // Whether it ran or not, and whatever it says: the test has its verdict.
                let _ = Command::new(binary()).args(["local", "--dir"]).arg(cluster).arg("down").output();
            }
        }
    }
}

fn kubectl_is_here() -> bool {
    let here = has("kubectl");
    if !here {
        eprintln!("SKIPPED: kubectl is not installed");
    }
    here
}

#[test]
fn the_readme_works_as_printed() {
    works_as_printed("README.md");
}

#[test]
fn the_first_hour_works_as_printed() {
    works_as_printed("docs/FIRST_HOUR.md");
}

fn works_as_printed(page: &str) {
    if !kubectl_is_here() {
        return;
    }
    let ports = Ports::claim();
    let place = Place::new(Some(ports.base()));
    let is_ours = |block: &Block| !block.needs("docker") && !block.needs("apart");
    let blocks: Vec<Block> = blocks(page).into_iter().filter(is_ours).collect();
    assert!(blocks.len() >= 3, "the blocks of {page} are found");
    place.run(page, &blocks, None);
}

/// What the README shows beside the first cluster, each on ports that are free here in place of those that are printed.
#[test]
fn what_stands_apart_in_the_readme_works_as_printed() {
    let ports = [Ports::claim(), Ports::claim()];
    let [first, second] = ports.each_ref().map(Ports::base);
    let place = Place::new(Some(first));
    let mut apart: Vec<Block> = blocks("README.md").into_iter().filter(|block| block.needs("apart")).collect();
    assert!(apart.len() >= 3, "the blocks are found");
    // The last of these may stand within another that is free.
    let ports =
        [("7000", second), ("7020", second + 20), ("7021", second + 21), ("7022", second + 22), ("2379", first + 20)];
    for block in &mut apart {
        for (printed, free) in ports {
            block.text = block.text.replace(printed, &free.to_string());
        }
        // Two clusters that are done with make room for the next.
        block.text.push_str("./x down --dir store 2>/dev/null || true\n");
    }
    let up = Block { line: 0, language: "sh".to_owned(), needs: Vec::new(), text: "./x up\n".to_owned() };
    apart.insert(0, up);
    place.run("README.md", &apart, None);
}

#[test]
fn the_commands_of_the_docs_work_as_printed() {
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::up(3, 2).expect("a cluster");
    for page in WITH_A_CLUSTER {
        let place = Place::new(None);
        std::os::unix::fs::symlink(cluster.dir(), place.path(".trireme")).expect("a link");
        place.run(page, &blocks(page), Some(&cluster.dir().join("kubeconfig")));
    }
}

/// A block that no test here runs is a defect, and so is a command in a block that says it is none.
#[test]
fn every_block_is_run_by_a_test_or_holds_no_command() {
    let known = ["apart", "docker", "curl", "helm", "grpcurl", "python3-kubernetes", "trireme-test-go", "etcdctl"];
    for page in pages::all() {
        for block in pages::blocks(&page) {
            let at = format!("{page}:{}", block.line);
            match block.language.as_str() {
                "sh" => {
                    let runs = [FROM_THE_START, WITH_A_CLUSTER].concat().contains(&page.as_str());
                    assert!(runs, "{at}: no test runs the blocks of this page");
                    for need in &block.needs {
                        let by_whom = page == "README.md" || !["apart", "docker"].contains(&need.as_str());
                        assert!(known.contains(&need.as_str()) && by_whom, "{at}: nobody knows what {need} asks for");
                    }
                }
                "text" => {
                    let commands =
                        ["$ ", "./x ", "trireme ", "kubectl ", "docker ", "docker-compose ", "cargo ", "etcdctl "];
                    let is_command = |line: &&str| commands.iter().any(|command| line.starts_with(command));
                    let command = block.text.lines().find(is_command);
                    assert!(command.is_none(), "{at}: a command that no test runs: {command:?}");
                }
                other => panic!("{at}: a block is `sh` or `text`, not {other:?}"),
            }
        }
    }
}
