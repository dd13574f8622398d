//! Bringing a local cluster up: certificates, processes, waiting until it serves.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::layout::{Layout, StoreOnly};
use super::process::{Process, State};
use crate::health;
use crate::keyring::Keyring;
use crate::kubeconfig;
use crate::pki::{Authority, Renewal, Subject};

/// How long a process may take until it serves.
const SERVING_LIMIT: Duration = Duration::from_secs(60);

/// Starts what does not run and waits until everything serves.
pub async fn run(layout: &Layout) -> Result<()> {
    let begun = Instant::now();
    let processes = layout.processes();
    for process in &processes {
        if !matches!(process.state(), State::Running(_)) {
            process.wait_for_ports(Duration::from_secs(10)).await?;
        }
    }
    issue_certificates(layout, &Renewal::default())?;
    let fresh = processes.iter().filter(|p| !matches!(p.state(), State::Running(_))).count();
    if fresh > 0 {
        let masters = layout.shape.masters_now().len();
        match layout.shape.store_only {
            Some(_) => say!("starting {masters} masters that serve the store alone"),
            None => say!("starting {masters} masters, a front door, {} simulated nodes", layout.shape.nodes),
        }
    }
    for process in &processes {
        process.start().await?;
    }
    for process in &processes {
        wait_until_serving(layout, process).await?;
    }
    say!("serving after {:.1} s\n", begun.elapsed().as_secs_f32());
    Ok(())
}

/// Issues what is missing and renews what is due; the rest is kept.
pub fn issue_certificates(layout: &Layout, renewal: &Renewal) -> Result<()> {
    let dir = &layout.dir;
    let authority = Authority::open_or_generate(&layout.ca(), &dir.join("pki/ca.key"))?;
    let issue = |stem: &Path, subject: &Subject| authority.read_or_renew(stem, subject, renewal);
    let admin = issue(&dir.join("admin"), &Subject::client("admin", "system:masters"))?;
    let keyring = Keyring::open_or_generate(&layout.secrets_key())?;
    write_once(&dir.join("pki/ca.crt"), authority.cert_pem.as_bytes())?;
    for name in layout.shape.first_master_names() {
        let tls = dir.join(&name).join("tls");
        issue(&tls.join("apiserver"), &Subject::api_server(std::slice::from_ref(&name)))?;
        issue(&tls.join("peer"), &Subject::master(&name))?;
        write_once(&tls.join("ca.crt"), authority.cert_pem.as_bytes())?;
        if !tls.join("ca.key").exists() {
            crate::pki::write_private(&tls.join("ca.key"), authority.key_pem().as_bytes())?;
        }
        if !tls.join("secrets.key").exists() {
            keyring.write(&tls.join("secrets.key"))?;
        }
    }
    for node in layout.shape.node_names() {
        issue(&dir.join("nodes/tls").join(&node), &Subject::node(&node))?;
    }
    if layout.shape.store_only.is_some() {
        return Ok(());
    }
    issue(&dir.join("front/tls/metrics"), &Subject::metrics("front"))?;
    issue(&dir.join("nodes/tls/metrics"), &Subject::metrics("nodes"))?;
    let config = kubeconfig::administrator(&format!("https://{}", layout.front()), &authority.cert_pem, &admin);
    // A person may have set a namespace in it: it is written again only when the administrator's certificate is another.
    let known = std::fs::read_to_string(layout.kubeconfig()).unwrap_or_default();
    if !kubeconfig::holds(&known, &admin) {
        crate::pki::write_private(&layout.kubeconfig(), config.as_bytes())?;
    }
    Ok(())
}

fn write_once(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// Waits until a process does its work: a master is ready, the front door leads to one, the nodes run.
pub async fn wait_until_serving(layout: &Layout, process: &Process) -> Result<()> {
    let ca_pem = std::fs::read_to_string(layout.ca()).context("reading the CA certificate")?;
    let tls = crate::tls::anonymous_client(&ca_pem)?;
    let address = match process.ports.first() {
        Some((_, port)) => super::layout::loopback(*port),
        None => layout.front(),
    };
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        if !matches!(process.state(), State::Running(_)) {
            bail!("{} ended; its last words:\n{}", process.name, last_words(process));
        }
        if health::ready(address, &tls, Duration::from_secs(1)).await {
            return Ok(());
        }
        if begun.elapsed() > SERVING_LIMIT {
            bail!(
                "{} does not serve after {} s; its last words:\n{}",
                process.name,
                SERVING_LIMIT.as_secs(),
                last_words(process)
            );
        }
    }
}

fn last_words(process: &Process) -> String {
    let log = std::fs::read_to_string(process.log_path()).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(8).collect();
    lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
}

/// Says what a person may want to do with the cluster.
pub fn print_next_steps(layout: &Layout) {
    let shown = shown_path(&layout.dir);
    // Where nobody says another, every command takes the default.
    let elsewhere = if shown == crate::local::DEFAULT_DIR { String::new() } else { format!(" --dir {shown}") };
    if layout.shape.store_only.is_some() {
        let urls: Vec<String> = (0..layout.shape.masters).map(|index| layout.etcd_url(index)).collect();
        let dir = layout.dir.display();
        say!("Your store is in {shown}. Try:\n");
        say!("  export ETCDCTL_ENDPOINTS={}", urls.join(","));
        if layout.shape.store_only == Some(StoreOnly::Https) {
            say!("  export ETCDCTL_CACERT={dir}/ca.crt ETCDCTL_CERT={dir}/admin.crt ETCDCTL_KEY={dir}/admin.key");
        }
        say!("  etcdctl put greeting hello && etcdctl get greeting");
        say!("  etcdctl endpoint status -w table");
        say!("  kill -9 $(cat {shown}/m1/pid)      # any master; nothing is lost");
        say!("  ./x status{elsewhere}; ./x start m1{elsewhere}");
        return;
    }
    say!("Your cluster is in {shown}. Try:\n");
    say!("  export KUBECONFIG={}", layout.kubeconfig().display());
    say!("  kubectl get nodes");
    say!("  kubectl apply -f docs/examples/web.yaml");
    say!("  kubectl create deployment hello --image=nginx --replicas=3");
    say!("  kubectl get pods -o wide");
    say!("  kill -9 $(cat {shown}/m1/pid)      # any master; nothing is lost");
    say!("  ./x status{elsewhere}; ./x start m1{elsewhere}");
}

/// A path as a person in the current folder would write it.
fn shown_path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
