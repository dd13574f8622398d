//! Locks, elections and transactional memory as etcd's client libraries have them, in Go and in Node, on a store of three.
//! Skipped, saying so, where the language or its packages are not at hand.

#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use tests_e2e::Cluster;

fn works(folder: &Path, program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).current_dir(folder).output();
    let works = output.as_ref().is_ok_and(|output| output.status.success());
    if !works {
        let why = output.map_or_else(|e| e.to_string(), |o| String::from_utf8_lossy(&o.stderr).into_owned());
        eprintln!("SKIPPED: {program} {}: {}", args.join(" "), why.trim());
    }
    works
}

/// A copy of the recipes in a language, so that what its tools leave behind is nobody's.
fn copied(language: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recipes").join(language);
    for file in fs::read_dir(from)? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), folder.path().join(file.file_name()))?;
        }
    }
    Ok(folder)
}

fn run(folder: &Path, program: &str, args: &[&str]) -> Result<String> {
    let store = Cluster::store(3, "http")?;
    let endpoints: Vec<String> = (0..3).map(|member| format!("http://{}", store.etcd(member))).collect();
    let output = Command::new(program).args(args).arg(endpoints.join(",")).current_dir(folder).output()?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn recipes_of_the_go_library_hold() -> Result<()> {
    let folder = copied("go")?;
    if !works(folder.path(), "go", &["build", "-o", "recipes", "."]) {
        return Ok(());
    }
    let binary = folder.path().join("recipes").display().to_string();
    let expected = "counted under a lock: 20\na dead holder let go\nleads: one\nleads: two\nin all accounts: 300\n";
    assert_eq!(run(folder.path(), &binary, &[])?, expected);
    Ok(())
}

#[test]
fn recipes_of_the_node_library_hold() -> Result<()> {
    let folder = copied("node")?;
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    if !works(folder.path(), "npm", &install) {
        return Ok(());
    }
    let expected = "counted under a lock: 20\na held lock was refused: true\nleads: one\nleads: two\n";
    assert_eq!(run(folder.path(), "node", &["recipes.js"])?, expected);
    Ok(())
}
