//! The command lines that stand within the text of README and docs, and the settings: all are there, under these names.
//!
//! They are asked for their help, which refuses what it does not know; tests/e2e/tests/docs.rs runs the blocks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests_e2e::cluster::binary;
use tests_e2e::pages::{self, root};

/// What `./x` hands to `trireme local`, and what to other programs.
fn behind_the_script(command: &str) -> Option<(PathBuf, Vec<String>)> {
    let beside = |name: &str| binary().with_file_name(name);
    match command {
        "bench" => Some((beside("tests-bench"), Vec::new())),
        "chaos" => Some((beside("chaos"), Vec::new())),
        "sim" => Some((beside("sim"), Vec::new())),
        "build" | "test" | "verify" | "fix" | "planted" | "image" | "cargo" | "help" => None,
        local => Some((binary(), vec!["local".to_owned(), local.to_owned()])),
    }
}

/// A program understands this command line: it would print the help for it.
fn is_understood(at: &str, program: &Path, words: &[String]) {
    if !program.exists() {
        eprintln!("SKIPPED: {at}: {} is not built", program.display());
        return;
    }
    let output = Command::new(program).args(words).arg("--help").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{at}: {} {words:?}: {said}", program.display());
}

/// As a shell takes them apart: spaces between double quotes part nothing.
fn words(line: &str) -> Vec<String> {
    let mut is_quoted = false;
    let parted = line.split(|c: char| {
        is_quoted ^= c == '"';
        c.is_whitespace() && !is_quoted
    });
    parted.filter(|word| !word.is_empty()).map(|word| word.replace('"', "")).collect()
}

fn check(at: &str, line: &str) {
    let script = pages::read("x");
    let mut words = words(line);
    // Settings before the command, and what stands for something else.
    while words.first().is_some_and(|word| word.starts_with("TRIREME_") && word.contains('=')) {
        words.remove(0);
    }
    words.retain(|word| !word.contains('…') && word != "&&");
    let Some(program) = words.first().cloned() else { return };
    words.remove(0);
    match program.as_str() {
        "./x" => {
            let Some(command) = words.first().cloned() else { return };
            assert!(script.contains(&format!("cmd_{command}()")), "{at}: there is no ./x {command}");
            if let Some((program, before)) = behind_the_script(&command) {
                is_understood(at, &program, &[before, words[1..].to_vec()].concat());
            }
        }
        "trireme" | "target/release/trireme" => is_understood(at, &binary(), &words),
        "cargo" => {
            let after = |flag: &str| words.iter().skip_while(|word| *word != flag).nth(1);
            if let (Some(package), Some(test)) = (after("-p"), after("--test")) {
                let source = root().join(package.replacen('-', "/", 1)).join(format!("tests/{test}.rs"));
                assert!(source.exists(), "{at}: there is no {}", source.display());
            }
        }
        // Other people's programs, and what is no command line.
        _ => {}
    }
}

#[test]
fn every_command_line_in_the_text_is_understood() {
    let mut found = 0;
    for page in pages::all() {
        for (line, words) in pages::spans(&page) {
            for part in words.split(" && ") {
                found += usize::from(part.starts_with("./x ") || part.starts_with("trireme "));
                check(&format!("{page}:{line}"), part);
            }
        }
    }
    assert!(found > 30, "the command lines are found: {found}");
}

/// Long options of every command, as the man pages have them.
fn options() -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(binary()).arg("man").arg(folder.path()).output().expect("the binary");
    assert!(made.status.success());
    let mut options = BTreeSet::new();
    for page in std::fs::read_dir(folder.path()).expect("pages").flatten() {
        let text = std::fs::read_to_string(page.path()).expect("a page").replace("\\-", "-");
        let dashes = text.match_indices("--").map(|(at, _)| &text[at..]);
        let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>();
        options.extend(dashes.map(name));
    }
    options
}

#[test]
fn every_setting_that_the_text_names_is_there() {
    let options = options();
    for page in ["docs/OPERATIONS.md", "docs/CLIENTS.md"] {
        for (line, words) in pages::spans(page) {
            let named = words.split([' ', '=']).next().unwrap_or_default();
            if named.starts_with("--") {
                assert!(options.contains(named), "{page}:{line}: no command has {named}");
            }
        }
    }
}
