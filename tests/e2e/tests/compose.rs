//! The compose cluster and its demo, where a docker engine can be had.
#![allow(missing_docs)]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

#[test]
fn the_demo_works_as_printed() {
    let has_compose = succeeds("docker", &["compose", "version"]) || succeeds("docker-compose", &["version"]);
    if !succeeds("docker", &["info"]) || !has_compose || !succeeds("kubectl", &["version", "--client"]) {
        eprintln!("skipped: docker with compose, or kubectl, is not at hand");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let context = tempfile::tempdir().unwrap();
    let context = context.path().join("image");
    let image = format!("trireme:test-{}", std::process::id());
    let run = |program: &Path, args: &[&std::ffi::OsStr]| {
        let output = Command::new(program)
            .args(args)
            .current_dir(root)
            .env("TRIREME_IMAGE", &image)
            .env("COMPOSE_PROJECT_NAME", format!("trireme-test-{}", std::process::id()))
            .env("TRIREME_NET", (100 + std::process::id() % 100).to_string())
            .env("TRIREME_PORT", port.to_string())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
        assert!(output.status.success(), "{}:\n{said}", program.display());
    };
    run(&root.join("deploy/docker/context.sh"), &[tests_e2e::cluster::binary().as_os_str(), context.as_os_str()]);
    let dockerfile = root.join("deploy/docker/Dockerfile");
    let build = ["build", "--quiet", "--tag", &image, "--file"].map(std::ffi::OsStr::new);
    run("docker".as_ref(), &[&build[..], &[dockerfile.as_os_str(), context.as_os_str()]].concat());
    run(&root.join("deploy/docker/demo.sh"), &["--clean".as_ref()]);
    run("docker".as_ref(), &["rmi".as_ref(), image.as_ref()]);
}
