//! Golden scripts: commands and what they must print, as `tests/golden/*.txt` hold them.
//!
//! A line `$ command` runs in a shell, with its further lines behind `> `; what follows up to the next command is what it
//! must print, both streams together, and `[1]` at the end is its exit code when that is not 0. `~ command` is tried again
//! until it prints that. In what is expected, `…` stands for anything within a line, and a line of `…` alone for any
//! number of lines. Blank lines and lines that begin with `# ` say nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::Cluster;

/// How long a command with `~` may take to print what it must.
const PATIENCE: Duration = Duration::from_secs(30);

/// One command of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Step {
    line: usize,
    command: String,
    eventually: bool,
    expected: Vec<String>,
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("~ ")) {
            let eventually = line.starts_with('~');
            steps.push(Step { line: index + 1, command: command.to_owned(), eventually, expected: Vec::new() });
        } else if let Some(step) = steps.last_mut()
            && !line.trim().is_empty()
            && !line.starts_with("# ")
        {
            match line.strip_prefix("> ") {
                Some(more) if step.expected.is_empty() => {
                    step.command.push('\n');
                    step.command.push_str(more);
                }
                _ => step.expected.push(line.trim_end().to_owned()),
            }
        }
    }
    steps
}

/// Whether lines are as expected.
fn matches(expected: &[String], found: &[&str]) -> bool {
    match expected.split_first() {
        None => found.is_empty(),
        Some((any, rest)) if any == "…" => (0..=found.len()).any(|skipped| matches(rest, &found[skipped..])),
        Some((line, rest)) => match found.split_first() {
            Some((first, others)) => line_matches(line, first) && matches(rest, others),
            None => false,
        },
    }
}

fn line_matches(expected: &str, found: &str) -> bool {
    match expected.split_once('…') {
        None => expected == found,
        Some((head, tail)) => found.strip_prefix(head).is_some_and(|rest| {
            let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.any(|at| line_matches(tail, &rest[at..]))
        }),
    }
}

/// Runs a script on a cluster, in a namespace of its own that is named like the script.
///
/// # Errors
/// Names every command that printed something else, with what it printed.
pub fn run(cluster: &Cluster, script: &Path) -> Result<()> {
    let text = std::fs::read_to_string(script).with_context(|| format!("reading {}", script.display()))?;
    let name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = cluster.dir().join("golden").join(&name);
    let bin = kubectl_of(cluster, &folder)?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let shell = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).current_dir(&folder).env("PATH", &path).output()?;
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            printed.push_str(&format!("\n[{}]", output.status.code().unwrap_or(-1)));
        }
        anyhow::Ok(printed)
    };
    shell(&format!("kubectl create namespace {name} && kubectl config set-context --current --namespace={name}"))?;
    let mut failures = Vec::new();
    for step in parse(&text) {
        let begun = Instant::now();
        let printed = loop {
            let printed = shell(&step.command)?;
            let lines: Vec<&str> = printed.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
            let fits = matches(&step.expected, &lines);
            if fits || !step.eventually || begun.elapsed() > PATIENCE {
                break (!fits).then_some(printed);
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        if let Some(printed) = printed {
            let expected = step.expected.join("\n");
            failures.push(format!("{name}:{} $ {}\n{printed}\n--- instead of\n{expected}", step.line, step.command));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// A folder with a `kubectl` that speaks to the cluster and to nothing else.
fn kubectl_of(cluster: &Cluster, folder: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin)?;
    let config = folder.join("kubeconfig");
    std::fs::copy(cluster.dir().join("kubeconfig"), &config)?;
    let real = std::env::var("TRIREME_KUBECTL").map_or_else(|_| found_kubectl(), |path| Ok(path.into()))?;
    let script = format!(
        "#!/bin/sh\nexec {} --kubeconfig {} --cache-dir {} \"$@\"\n",
        real.display(),
        config.display(),
        folder.join("cache").display()
    );
    let wrapper = bin.join("kubectl");
    std::fs::write(&wrapper, script)?;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
    Ok(bin)
}

fn found_kubectl() -> Result<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').map(|folder| Path::new(folder).join("kubectl")).find(|path| path.exists()).context("no kubectl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read() {
        let steps = parse("# what\n$ one <<X\n> a\n> X\nout …\n\n~ two\n[1]\n");
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].command.as_str(), steps[0].eventually), ("one <<X\na\nX", false));
        assert_eq!(steps[0].expected, ["out …"]);
        assert_eq!((steps[1].line, steps[1].eventually, steps[1].expected.len()), (7, true, 1));
    }

    #[test]
    fn ellipses_stand_for_anything() {
        let check = |expected: &[&str], found: &[&str], fits: bool| {
            let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(matches(&expected, found), fits, "{expected:?} {found:?}");
        };
        check(&["a … c"], &["a b b c"], true);
        check(&["a … c"], &["a b b d"], false);
        check(&["a", "…", "c"], &["a", "c"], true);
        check(&["a", "…", "c"], &["a", "b", "b", "c"], true);
        check(&["a"], &["a", "b"], false);
        check(&["a", "b"], &["a"], false);
    }
}
