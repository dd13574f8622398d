//! Who may use whom.

use serde_json::Value;

/// Crates that only one of ours may depend on (DESIGN: sole owners), outside of tests.
const SOLE_OWNERS: &[(&str, &[&str])] = &[
    ("rocksdb", &["raft-log"]),
    ("openraft", &["raft-node"]),
    ("bincode", &["raft-log"]),
    ("axum", &["api-rest", "server-shell"]),
    ("rcgen", &["server-shell"]),
];

/// What a pure crate may not depend on.
const IMPURE: &[&str] = &["rocksdb", "openraft", "hyper", "tonic", "axum", "rand", "uuid", "tokio-rustls", "reqwest"];

fn packages(metadata: &Value) -> &Vec<Value> {
    metadata["packages"].as_array().expect("packages")
}

fn dependencies(package: &Value) -> Vec<&str> {
    package["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
        .filter(|d| d["kind"].as_str() != Some("dev"))
        .map(|d| d["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn every_crate_uses_only_the_layers_it_declares() {
    let metadata = tests_tidy::metadata();
    let ours: Vec<&str> = packages(&metadata).iter().map(|p| p["name"].as_str().unwrap()).collect();
    let mut findings = Vec::new();
    for package in packages(&metadata) {
        let name = package["name"].as_str().unwrap();
        let Some(layer) = package["metadata"].get("layer") else {
            findings.push(format!("{name} declares no [package.metadata.layer]"));
            continue;
        };
        let may: Vec<&str> = layer["uses"].as_array().unwrap().iter().map(|u| u.as_str().unwrap()).collect();
        for dependency in dependencies(package) {
            if ours.contains(&dependency) && !may.contains(&dependency) {
                findings.push(format!("{name} uses {dependency}, which its layer does not allow"));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn what_has_a_sole_owner_is_used_by_nobody_else() {
    let metadata = tests_tidy::metadata();
    let mut findings = Vec::new();
    for package in packages(&metadata) {
        let name = package["name"].as_str().unwrap();
        if name.starts_with("tests-") {
            continue;
        }
        for (library, owners) in SOLE_OWNERS {
            if dependencies(package).contains(library) && !owners.contains(&name) {
                findings.push(format!("{name} uses {library}, which belongs to {owners:?}"));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn pure_crates_depend_on_nothing_that_does_io() {
    let metadata = tests_tidy::metadata();
    let mut findings = Vec::new();
    for package in packages(&metadata).iter().filter(|p| p["metadata"]["layer"]["pure"] == true) {
        for dependency in dependencies(package) {
            if IMPURE.contains(&dependency) {
                findings.push(format!("{} is pure and uses {dependency}", package["name"]));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}
