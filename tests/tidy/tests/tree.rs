//! Sizes of files, stubs, and docs that name things which exist.

use std::fs;

/// From here on a file hides a second concept.
const LINES_MAX: usize = 700;

#[test]
fn no_source_file_is_longer_than_a_reader_can_hold() {
    let findings: Vec<String> = tests_tidy::tracked_files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .filter_map(|path| {
            let text = fs::read_to_string(tests_tidy::root().join(&path)).ok()?;
            let lines = text.lines().count();
            (lines > LINES_MAX).then(|| format!("{}: {lines} lines, at most {LINES_MAX}", path.display()))
        })
        .collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn nothing_promises_to_be_done_later() {
    // Spelled in two parts, so that this file does not find itself.
    let promises =
        [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("// TO", "DO"), concat!("// FIX", "ME")];
    let mut findings = Vec::new();
    for path in tests_tidy::tracked_files() {
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let Ok(text) = fs::read_to_string(tests_tidy::root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            if promises.iter().any(|p| line.contains(p)) {
                findings.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

/// Paths in backquotes that begin with a folder of the tree must exist, in the pages that lead newcomers.
#[test]
fn docs_name_files_that_exist() {
    let folders = ["api/", "raft/", "server/", "tests/", "docs/", "jepsen/", ".ci/"];
    let mut findings = Vec::new();
    for page in ["README.md", "docs/ARCHITECTURE.md"] {
        let text = fs::read_to_string(tests_tidy::root().join(page)).expect("the page exists");
        for (index, quoted) in text.split('`').enumerate() {
            let is_code = index % 2 == 1;
            let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c));
            if is_code
                && plain
                && folders.iter().any(|f| quoted.starts_with(f))
                && !tests_tidy::root().join(quoted).exists()
            {
                findings.push(format!("{page} names {quoted}, which does not exist"));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

/// A decision is referred to by its number.
#[test]
fn each_decision_has_a_number_of_its_own() {
    let mut seen = std::collections::BTreeMap::new();
    for path in tests_tidy::tracked_files().into_iter().filter(|path| path.starts_with("docs/decisions")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap_or_default().to_owned();
        if let Some(other) = seen.insert(number, name.clone()) {
            panic!("{other} and {name} have the same number");
        }
    }
    assert!(!seen.is_empty(), "there are decisions");
}
