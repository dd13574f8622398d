//! Certificates for a cluster whose masters know each other by address.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Issues what masters, nodes and the administrator need, into `m1/tls` …, `nodes/tls` and `admin`.
///
/// # Errors
/// When the binary is missing or refuses.
pub(super) fn issue(folder: &Path, masters: usize, nodes: usize, addresses: &[String]) -> Result<()> {
    let binary = tests_e2e::cluster::binary();
    let at = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new(&binary);
    command.args(["certs", "issue"]);
    command.arg(format!("--authority={}", at("authority"))).arg(format!("--admin={}", at("admin")));
    command.args((1..=masters).map(|i| format!("--master=m{i}={}", at(&format!("m{i}/tls")))));
    command.args((1..=nodes).map(|i| format!("--node=node-{i}={}", at("nodes/tls"))));
    command.args(addresses.iter().map(|address| format!("--san={address}")));
    let output = command.output().with_context(|| format!("running {}; ./x chaos builds it", binary.display()))?;
    ensure!(output.status.success(), "issuing certificates: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
