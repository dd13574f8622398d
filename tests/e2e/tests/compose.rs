//! The compose cluster and its demo, where a docker engine can be had: with each version of compose that is installed.
#![allow(missing_docs)]

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tests_e2e::docker::{self, COMPOSES, Engine, succeeds};
use tests_e2e::pages::{self, root};

/// Runs a command to its end, and shows what it said when it fails.
fn run(command: &mut Command) {
    docker::run(command).unwrap_or_else(|said| panic!("{said}"));
}

/// A person reads on when both have joined: the leader, and four beside it.
const UNTIL_FIVE_VOTE: &str = "for _ in $(seq 100); do
  [ $(docker-compose run --rm -T cluster status | grep -c voter) = 4 ] && break
done
";

/// A compose project: its cluster has a network and a port of its own.
struct Project<'a> {
    engine: &'a Engine,
    image: &'a str,
    compose: &'a str,
    number: u32,
    port: u16,
}

impl Project<'_> {
    fn command(&self, program: &str) -> Command {
        let mut command = self.engine.command(program);
        command.env("TRIREME_IMAGE", self.image).env("COMPOSE", self.compose);
        command.env("COMPOSE_PROJECT_NAME", format!("trireme-test-{}-{}", self.number, std::process::id()));
        command.env("TRIREME_NET", (100 + (2 * std::process::id() + self.number) % 100).to_string());
        command.env("TRIREME_PORT", self.port.to_string());
        command
    }

    /// Plays the demo, and takes the cluster down.
    fn demo(&self) {
        run(self.command("deploy/docker/demo.sh").arg("--clean").current_dir(root()));
    }

    /// Runs what the README prints, with this version of compose under the name that stands there.
    fn readme(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["deploy", "docker-compose.yml"] {
            symlink(root().join(name), folder.path().join(name)).expect("a link");
        }
        // The image is there.
        program(folder.path(), "x", "[ \"$1\" = image ]");
        let mut script = "set -euxo pipefail\n".to_owned();
        if self.compose != "docker-compose" {
            program(folder.path(), "docker-compose", &format!("exec {} \"$@\"", self.compose));
            script.push_str("PATH=$PWD:$PATH\n");
        }
        let printed: Vec<_> = pages::blocks("README.md").into_iter().filter(|block| block.needs("docker")).collect();
        assert!(!printed.is_empty(), "the block is found");
        for line in printed.iter().flat_map(|block| block.text.lines()) {
            script.push_str(line);
            script.push('\n');
            if line.contains("--profile five up") {
                script.push_str(UNTIL_FIVE_VOTE);
            }
        }
        let output = self.command("bash").args(["-c", &script]).current_dir(folder.path()).output().expect("bash");
        let mut down = self.command("bash");
        down.args(["-c", "$COMPOSE --profile five --profile tools down --volumes --timeout 15"]);
        run(down.current_dir(folder.path()));
        let said = [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
        assert!(output.status.success(), "{}: {said}", self.compose);
    }
}

/// A shell script of a line.
fn program(folder: &Path, name: &str, line: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

#[test]
fn the_demo_and_the_readme_work_as_printed() {
    if !succeeds(Command::new("kubectl").args(["version", "--client"])) {
        eprintln!("SKIPPED: kubectl is not installed");
        return;
    }
    let engine = match Engine::find() {
        Ok(engine) => engine,
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            return;
        }
    };
    let here = engine.composes();
    let lacking = COMPOSES.into_iter().filter(|compose| !here.contains(compose));
    for compose in lacking {
        eprintln!("SKIPPED: {compose} is not installed");
    }
    if here.is_empty() {
        return;
    }
    let image = format!("trireme:test-{}", std::process::id());
    engine.build(&image, &tests_e2e::cluster::binary()).unwrap_or_else(|said| panic!("{said}"));
    std::thread::scope(|scope| {
        for (number, compose) in (0..).zip(here) {
            let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
            let project = Project { engine: &engine, image: &image, compose, number, port };
            scope.spawn(move || {
                project.demo();
                project.readme();
            });
        }
    });
    run(engine.command("docker").args(["rmi", &image]));
}
