//! The examples in other languages: generated from the protos and run, where their tools are at hand.

#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use tests_e2e::Cluster;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/e2e lies two folders down").to_owned()
}

fn works(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

fn run(folder: &Path, program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).current_dir(folder).output()?;
    if !output.status.success() {
        bail!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A Python with gRPC and its compiler: `TRIREME_PYTHON`, or python3.
fn python() -> Option<String> {
    let python = std::env::var("TRIREME_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_it = works(&python, &["-c", "import grpc, grpc_tools.protoc"]);
    if !has_it {
        eprintln!("SKIPPED: {python} has no grpcio and grpcio-tools (pip install grpcio grpcio-tools)");
    }
    has_it.then_some(python)
}

#[test]
fn the_python_example_works() -> Result<()> {
    let Some(python) = python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let protos = format!("-I{}", root().join("api/proto/proto").display());
    let compile =
        ["-m", "grpc_tools.protoc", &protos, "--python_out=.", "--grpc_python_out=.", "trireme/v1/store.proto"];
    run(folder.path(), &python, &compile)?;
    let cluster = Cluster::up(1, 0)?;
    let example = root().join("docs/examples/clients/grpc-python/client.py").display().to_string();
    let printed =
        run(folder.path(), &python, &[&example, &cluster.api(0).to_string(), &cluster.dir().display().to_string()])?;
    assert_eq!(printed, "read hello\nsaw world\n");
    Ok(())
}

/// The compiler of protos: protoc, or the one that comes with Python's gRPC.
fn protoc() -> Option<Vec<String>> {
    if works("protoc", &["--version"]) {
        return Some(vec!["protoc".to_owned()]);
    }
    python().map(|python| vec![python, "-m".to_owned(), "grpc_tools.protoc".to_owned()])
}

#[test]
fn the_go_example_works() -> Result<()> {
    let tools = works("go", &["version"])
        && works("protoc-gen-go", &["--version"])
        && works("protoc-gen-go-grpc", &["--version"]);
    let (true, Some(protoc)) = (tools, protoc()) else {
        eprintln!("SKIPPED: go, protoc, protoc-gen-go and protoc-gen-go-grpc are not all installed");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    for name in ["main.go", "go.mod", "go.sum"] {
        fs::copy(root().join("docs/examples/clients/grpc-go").join(name), folder.path().join(name))?;
    }
    let protos = format!("-I{}", root().join("api/proto/proto").display());
    let mut args: Vec<&str> = protoc[1..].iter().map(String::as_str).collect();
    args.extend([&protos[..], "--go_out=.", "--go-grpc_out=.", "trireme/v1/store.proto"]);
    for kind in ["--go_opt", "--go-grpc_opt"] {
        let options = ["Mtrireme/v1/store.proto=example/v1", "module=example"];
        args.extend(options.map(|option| &*format!("{kind}={option}").leak()));
    }
    run(folder.path(), &protoc[0], &args)?;
    if let Err(error) = run(folder.path(), "go", &["mod", "download"]) {
        eprintln!("SKIPPED: the Go modules cannot be had: {error}");
        return Ok(());
    }
    let cluster = Cluster::up(1, 0)?;
    let printed =
        run(folder.path(), "go", &["run", ".", &cluster.api(0).to_string(), &cluster.dir().display().to_string()])?;
    assert_eq!(printed, "read hello\nsaw world\n");
    Ok(())
}
