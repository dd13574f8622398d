//! Every script in `tests/golden`, with stock kubectl against real processes.

use std::path::{Path, PathBuf};

use tests_e2e::{Cluster, golden};

#[test]
fn kubectl_prints_what_the_scripts_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden");
    let mut scripts: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("tests/golden").map(|entry| entry.expect("an entry").path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    // One script alone: `TRIREME_GOLDEN=typed cargo test …`
    if let Ok(wanted) = std::env::var("TRIREME_GOLDEN") {
        scripts.retain(|path| path.file_stem().is_some_and(|stem| stem == wanted.as_str()));
    }
    scripts.sort();
    assert!(!scripts.is_empty(), "no scripts");
    if std::process::Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("SKIPPED: kubectl is not installed");
        return;
    }
    let cluster = Cluster::up(1, 3).expect("a cluster");
    let failures: Vec<String> =
        scripts.iter().filter_map(|script| golden::run(&cluster, script).err()).map(|why| format!("{why:#}")).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
