//! One choice of features for what the product and the tests share, so that cargo compiles it once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Feature sets by package and version, as cargo resolves the selection. One package can have two: one for build scripts.
type Choices = BTreeMap<String, BTreeSet<String>>;

fn choices(selection: &[&str]) -> Choices {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p}|{f}"])
        .args(selection)
        .current_dir(tests_tidy::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut choices = Choices::new();
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (package, features) = line.split_once('|').expect("package|features");
        choices.entry(package.replace(" (proc-macro)", "")).or_default().insert(features.to_owned());
    }
    choices
}

#[test]
fn the_product_and_the_tests_choose_the_same_features() {
    let product = choices(&["-p", "server-shell", "--edges", "normal,build"]);
    let everything = choices(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(product.len() > 100, "cargo tree says little of the product: {product:#?}");
    let mut findings = Vec::new();
    for (package, sets) in &product {
        let wanted = &everything[package];
        for set in sets.difference(wanted) {
            findings.push(format!("{package}: the product has [{set}], the workspace {wanted:?}"));
        }
    }
    assert!(
        findings.is_empty(),
        "these are compiled twice; name their features in tests/features/Cargo.toml: {findings:#?}"
    );
}
