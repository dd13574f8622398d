//! Certificates for a cluster whose masters know each other by address.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Issues what masters, nodes and the administrator need, into `m1/tls` …, `nodes/tls` and `admin`.
///
/// # Errors
/// When the binary is missing or refuses.
pub(super) fn issue(folder: &Path, masters: usize, nodes: usize, addresses: &[String]) -> Result<()> {
    let binary = tests_e2e::cluster::binary();
    let at = |name: &str| folder.join(name).display().to_string();
    let mut command = super::tool();
    command.args(["certs", "issue"]);
    command.arg(format!("--authority={}", at("authority"))).arg(format!("--admin={}", at("admin")));
    command.args((1..=masters).map(|i| format!("--master=m{i}={}", at(&format!("m{i}/tls")))));
    command.args((1..=nodes).map(|i| format!("--node=node-{i}={}", at("nodes/tls"))));
    command.args(addresses.iter().map(|address| format!("--san={address}")));
    let output = command.output().with_context(|| format!("running {}; ./x chaos builds it", binary.display()))?;
    ensure!(output.status.success(), "issuing certificates: {}", String::from_utf8_lossy(&output.stderr));
    // With the authority's key a master can take others in.
    for master in 1..=masters {
        let copy = folder.join(format!("m{master}/tls/ca.key"));
        std::fs::copy(folder.join("authority/ca.key"), &copy).with_context(|| format!("writing {}", copy.display()))?;
    }
    Ok(())
}
