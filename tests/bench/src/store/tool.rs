//! etcd's own client tool (`benchmark`, from etcd's tools): what people compare with, and no lean client.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::load::Sample;
use super::subject::Subject;
use super::{KEYS, Table, VALUE_BYTES};
use crate::usage;

/// Operations for each second that a load is to take; etcd's tool counts operations, not seconds.
const MANY_PER_SECOND: f64 = 12_000.0;
const ONE_PER_SECOND: f64 = 900.0;

/// Adds the rows of etcd's tool.
pub(super) async fn rows(binary: &Path, table: &mut Table<'_>) -> Result<()> {
    let loads: [(&str, usize, &[&str]); 5] = [
        ("put", 1, &["put", "--sequential-keys", "--key-size=8"]),
        ("put", 100, &["put", "--sequential-keys", "--key-size=8"]),
        ("put", 1000, &["put", "--sequential-keys", "--key-size=8"]),
        ("get", 1000, &["range", "bench/00001", "--consistency=l"]),
        ("stale get", 1000, &["range", "bench/00001", "--consistency=s"]),
    ];
    for (what, clients, command) in loads {
        let connections = clients.min(100);
        let name = format!("{what} by etcd's tool, {clients} on {connections}");
        if !table.wants(&name) {
            continue;
        }
        let rate = if clients == 1 { ONE_PER_SECOND } else { MANY_PER_SECOND };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a benchmark")]
        let total = (table.args.seconds * rate).ceil() as u64;
        let mut command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        if what == "put" {
            command.extend([format!("--val-size={VALUE_BYTES}"), format!("--key-space-size={KEYS}")]);
        }
        command.push(format!("--total={total}"));
        let sample = run(binary, table.subject, clients, connections, &command, total).await?;
        table.add(name, sample);
    }
    Ok(())
}

async fn run(
    binary: &Path,
    subject: &Subject,
    clients: usize,
    connections: usize,
    load: &[String],
    total: u64,
) -> Result<Sample> {
    let mut command = Command::new(binary);
    let scheme = if subject.certificates.is_some() { "https" } else { "http" };
    let endpoints: Vec<String> = subject.addresses.iter().map(|address| format!("{scheme}://{address}")).collect();
    command.arg(format!("--endpoints={}", endpoints.join(",")));
    command.args([format!("--clients={clients}"), format!("--conns={connections}")]);
    if let Some(folder) = &subject.certificates {
        for (flag, file) in [("cacert", "ca.crt"), ("cert", "admin.crt"), ("key", "admin.key")] {
            command.arg(format!("--{flag}={}", folder.join(file).display()));
        }
    }
    let before = usage::of(&subject.pids)?;
    let output = command.args(load).output().await.context("running etcd's benchmark tool")?;
    let cpu = usage::of(&subject.pids)?.cpu.saturating_sub(before.cpu);
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "etcd's tool: {}{said}", String::from_utf8_lossy(&output.stderr));
    ensure!(!said.contains("Error distribution"), "etcd's tool met errors: {said}");
    read(&said, cpu, total).with_context(|| format!("what etcd's tool says: {said}"))
}

/// Reads the tool's report. Processor time is of the whole run, connecting included.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn read(said: &str, cpu: Duration, total: u64) -> Option<Sample> {
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    let after = |mark: &str| said.lines().find_map(|line| line.trim().strip_prefix(mark)).and_then(number);
    Some(Sample {
        per_second: after("Requests/sec:")?,
        p50_ms: after("50% in ")? * 1e3,
        p99_ms: after("99% in ")? * 1e3,
        cpu_us: cpu.as_secs_f64() * 1e6 / total as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_s_report_is_read() {
        let said = "\nSummary:\n  Total:\t2.0000 secs.\n  Slowest:\t0.4 secs.\n  Requests/sec:\t5000.5000\n\nResponse time histogram:\n  0.1 [1] |\n\nLatency distribution:\n  10% in 0.0010 secs.\n  50% in 0.0145 secs.\n  99% in 0.0380 secs.\n  99.9% in 0.1 secs.\n";
        let sample = read(said, Duration::from_secs(1), 10_000).expect("a report");
        assert_eq!((sample.per_second, sample.cpu_us), (5000.5, 100.0));
        assert!((sample.p50_ms - 14.5).abs() < 1e-9 && (sample.p99_ms - 38.0).abs() < 1e-9);
        assert!(read("Summary:", Duration::ZERO, 1).is_none());
    }
}
