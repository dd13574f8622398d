//! The command lines of README and docs, run as they are printed: every block marked `sh`, page by page, in order.
//!
//! A block may name what it needs after `sh` (```` ```sh grpcurl ````); where that is missing, the block is skipped and says so.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests_e2e::Cluster;
use tests_e2e::cluster::binary;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/e2e lies two folders down")
}

/// A block of commands.
struct Block {
    line: usize,
    needs: Vec<String>,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root().join(page)).expect("the page");
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) => {
                let mut words = info.split_whitespace();
                open = words.next() == Some("sh");
                if open {
                    let needs = words.map(str::to_owned).collect();
                    blocks.push(Block { line: number + 2, needs, text: String::new() });
                }
            }
            None if open => {
                let block = blocks.last_mut().expect("one is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

fn has(need: &str) -> bool {
    let asked = match need {
        "python3-kubernetes" => "python3 -c 'import kubernetes'".to_owned(),
        // client-go takes minutes to compile.
        "trireme-test-go" => "command -v go && [ -n \"${TRIREME_TEST_GO:-}\" ]".to_owned(),
        program => format!("command -v {program}"),
    };
    Command::new("sh").args(["-c", &asked]).output().is_ok_and(|output| output.status.success())
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
        // What builds is left out: the binary is there.
        let script = format!(
            "#!/bin/sh\ncase $1 in\n  build) exit 0;;\n  up) shift; exec target/release/trireme local up{ports} \"$@\";;\n  \
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
            let missing: Vec<&str> = block.needs.iter().map(String::as_str).filter(|need| !has(need)).collect();
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
            .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default()))
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
    /// A page that fails half-way leaves its cluster running. One that is lent to the page is its owner's to stop.
    fn drop(&mut self) {
        let cluster = self.path(".trireme");
        if cluster.exists() && !cluster.is_symlink() {
            // Whether it ran or not, and whatever it says: the test has its verdict.
            let _ = Command::new(binary()).args(["local", "down"]).current_dir(self.folder.path()).output();
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

/// A page that begins with `./x up`.
fn works_as_printed(page: &str) {
    if !kubectl_is_here() {
        return;
    }
    let place = Place::new(Some(tests_e2e::cluster::free_base_port()));
    // Containers, and clusters beside the first on ports of their own, have tests of their own (compose.rs, etcdctl.rs,
    // snapshot.rs).
    let is_here = |need: &String| !need.starts_with("docker") && need != "apart";
    let blocks: Vec<Block> = blocks(page).into_iter().filter(|block| block.needs.iter().all(is_here)).collect();
    assert!(blocks.len() >= 3, "the blocks of {page} are found");
    place.run(page, &blocks, None);
}

#[test]
fn the_commands_of_the_docs_work_as_printed() {
    if !kubectl_is_here() {
        return;
    }
    let cluster = Cluster::up(3, 2).expect("a cluster");
    for page in ["docs/OPERATIONS.md", "docs/CLIENTS.md"] {
        let place = Place::new(None);
        std::os::unix::fs::symlink(cluster.dir(), place.path(".trireme")).expect("a link");
        place.run(page, &blocks(page), Some(&cluster.dir().join("kubeconfig")));
    }
}

#[test]
fn every_command_of_the_script_that_the_docs_name_is_there() {
    let script = std::fs::read_to_string(root().join("x")).expect("the script");
    for page in ["README.md", "docs/FIRST_HOUR.md", "docs/OPERATIONS.md", "docs/CLIENTS.md"] {
        let text = std::fs::read_to_string(root().join(page)).expect("the page");
        for (at, _) in text.match_indices("./x ") {
            let name: String = text[at + 4..].chars().take_while(char::is_ascii_lowercase).collect();
            assert!(script.contains(&format!("cmd_{name}()")), "{page} names ./x {name}");
        }
    }
}
