//! Scripts of etcdctl commands with what a real etcd printed.
//!
//! A line `$ command` runs in a shell; the lines up to the next command are what it must print, output before errors,
//! normalised, and `[1]` at the end is its exit code when that is not 0. Lines that begin with `# ` say nothing. Beside
//! etcdctl the shell knows `lines N command…`: runs it until it has printed so many lines, then ends it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::normalise;

/// Defined for every command. The files are there, and empty, before anybody counts what is in them.
const SHELL: &str = r#"
lines() { wanted=$1; shift; : >out.txt; : >err.txt
  "$@" >out.txt 2>err.txt & pid=$!; tries=0
  while [ "$(cat out.txt err.txt | wc -l)" -lt "$wanted" ] && kill -0 $pid 2>/dev/null && [ $tries -lt 600 ]
  do sleep 0.05; tries=$((tries+1)); done
  kill $pid 2>/dev/null; wait $pid 2>/dev/null; cat out.txt err.txt; }
"#;

/// Who runs a script.
pub struct Subject {
    /// Names it in messages.
    pub name: &'static str,
    /// The client's binary.
    pub etcdctl: PathBuf,
    /// Its environment: endpoints and certificates.
    pub environment: Vec<(String, String)>,
}

impl Subject {
    /// Runs a command; what it printed, normalised, and its exit code.
    fn run(&self, folder: &Path, command: &str) -> Result<Vec<String>> {
        let bin = self.etcdctl.parent().context("a folder")?;
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("bash")
            .args(["-c", &format!("{SHELL}\n{command}")])
            .current_dir(folder)
            .env("PATH", path)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .output()?;
        let mut lines: Vec<String> = [&output.stdout, &output.stderr]
            .iter()
            .flat_map(|bytes| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>())
            .map(|line| normalise::line(line.trim_end()))
            // What etcdctl logs repeats the error that it prints, with addresses of memory.
            .filter(|line| !line.is_empty() && !line.starts_with(r#"{"level":"#))
            .collect();
        if !output.status.success() {
            lines.push(format!("[{}]", output.status.code().unwrap_or(-1)));
        }
        Ok(lines)
    }
}

struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: index + 1, command: command.to_owned(), expected: Vec::new() });
        } else if let Some(step) = steps.last_mut()
            && !line.is_empty()
            && !line.starts_with("# ")
        {
            step.expected.push(line.to_owned());
        }
    }
    steps
}

/// Runs a script and compares.
///
/// # Errors
/// Names every command that printed something else, with what it printed.
pub fn check(subject: &Subject, script: &Path) -> Result<()> {
    let text = std::fs::read_to_string(script).with_context(|| format!("reading {}", script.display()))?;
    let folder = tempfile::tempdir()?;
    let mut failures = Vec::new();
    for step in parse(&text) {
        let printed = subject.run(folder.path(), &step.command)?;
        if printed != step.expected {
            let (printed, expected) = (printed.join("\n"), step.expected.join("\n"));
            failures.push(format!("line {} $ {}\n{printed}\n--- instead of\n{expected}", step.line, step.command));
        }
    }
    ensure!(failures.is_empty(), "{}:\n{}", subject.name, failures.join("\n\n"));
    Ok(())
}

/// Runs a script on two and compares what they print with each other, whatever the script says.
///
/// # Errors
/// Names every command that printed something else on the second, with what it printed.
pub fn compare(first: &Subject, second: &Subject, script: &Path) -> Result<()> {
    let text = std::fs::read_to_string(script).with_context(|| format!("reading {}", script.display()))?;
    let (one, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut failures = Vec::new();
    for step in parse(&text) {
        let expected = first.run(one.path(), &step.command)?;
        let printed = second.run(other.path(), &step.command)?;
        if printed != expected {
            let (printed, expected) = (printed.join("\n"), expected.join("\n"));
            failures.push(format!("line {} $ {}\n{printed}\n--- instead of\n{expected}", step.line, step.command));
        }
    }
    ensure!(failures.is_empty(), "{} beside {}:\n{}", second.name, first.name, failures.join("\n\n"));
    Ok(())
}

/// Writes what the commands print into the script.
///
/// # Errors
/// When it cannot be read, run or written.
pub fn record(subject: &Subject, script: &Path) -> Result<()> {
    let text = std::fs::read_to_string(script)?;
    let folder = tempfile::tempdir()?;
    let mut recorded = String::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            recorded.push_str(line);
            recorded.push('\n');
            for printed in subject.run(folder.path(), command)? {
                recorded.push_str(&printed);
                recorded.push('\n');
            }
        } else if line.starts_with("# ") || line.is_empty() {
            recorded.push_str(line);
            recorded.push('\n');
        }
    }
    Ok(std::fs::write(script, recorded)?)
}
