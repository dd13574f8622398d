//! The compose cluster and its demo, where a docker engine can be had: with each version of compose that is installed.
#![allow(missing_docs)]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use tests_e2e::docker::{Engine, succeeds};

/// Runs a command to its end, and shows what it said when it fails.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
    assert!(output.status.success(), "{command:?}:\n{said}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/e2e lies two folders down")
}

/// The image, as `./x image` builds it, of the binary under test.
fn build(engine: &Engine, image: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let context = folder.path().join("context");
    run(Command::new(root().join("deploy/docker/context.sh")).arg(tests_e2e::cluster::binary()).arg(&context));
    let mut command = engine.command("docker");
    command.args(["build", "--quiet", "--tag", image, "--file"]);
    run(command.arg(root().join("deploy/docker/Dockerfile")).arg(&context));
}

/// Plays the demo on a cluster of its own, and takes it down.
fn demo(engine: &Engine, image: &str, compose: &str, number: u32) {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    let mut command = engine.command("deploy/docker/demo.sh");
    command.arg("--clean").current_dir(root()).env("COMPOSE", compose).env("TRIREME_IMAGE", image);
    command.env("COMPOSE_PROJECT_NAME", format!("trireme-test-{number}-{}", std::process::id()));
    command.env("TRIREME_NET", (100 + (2 * std::process::id() + number) % 100).to_string());
    run(command.env("TRIREME_PORT", port.to_string()));
}

#[test]
fn the_demo_works_as_printed() {
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
    let versions = ["docker compose", "docker-compose"];
    let is_here = |compose: &str| {
        let mut words = compose.split(' ');
        succeeds(engine.command(words.next().unwrap_or_default()).args(words).arg("version"))
    };
    let (here, lacking): (Vec<_>, Vec<_>) = versions.into_iter().partition(|compose| is_here(compose));
    for compose in lacking {
        eprintln!("SKIPPED: {compose} is not installed");
    }
    if here.is_empty() {
        return;
    }
    let image = format!("trireme:test-{}", std::process::id());
    build(&engine, &image);
    std::thread::scope(|scope| {
        for (number, compose) in (0..).zip(here) {
            let (engine, image) = (&engine, &image);
            scope.spawn(move || demo(engine, image, compose, number));
        }
    });
    run(engine.command("docker").args(["rmi", &image]));
}
