//! The web page in a real browser, through a failover: `TRIREME_SCREENSHOTS=docs/images` keeps what was to be seen.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tests_e2e::Cluster;
use tests_e2e::browser::{self, Browser};

/// `kubectl proxy`: the way in that needs no certificate in the browser.
struct Proxy {
    child: Child,
    address: String,
}

impl Proxy {
    fn start(cluster: &Cluster) -> Result<Self> {
        let mut child = Command::new("kubectl")
            .args(["proxy", "--port=0", "--kubeconfig"])
            .arg(cluster.dir().join("kubeconfig"))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("Starting to serve on ").context("kubectl proxy's first line")?;
        Ok(Self { child, address: format!("http://{address}/ui/") })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(page: &mut Browser, name: &str) -> Result<()> {
    match std::env::var_os("TRIREME_SCREENSHOTS") {
        Some(folder) => page.screenshot(&PathBuf::from(folder).join(format!("{name}.png"))),
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_a_cluster_through_a_failover() {
    let Some(program) = browser::program() else {
        eprintln!("SKIPPED: chromium is not installed");
        return;
    };
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("SKIPPED: kubectl is not installed");
        return;
    }
    let cluster = Cluster::up(3, 5).expect("a cluster");
    let web = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/web.yaml");
    for args in [&["apply", "-f", web][..], &["rollout", "status", "deployment/web", "--timeout=60s"]] {
        assert!(cluster.kubectl(args).expect("kubectl").status.success(), "{args:?}");
    }
    let leader = cluster.leader().await.expect("a leader");
    tokio::task::spawn_blocking(move || look(program, &cluster, leader).expect("the page")).await.expect("looked");
}

fn look(program: &str, cluster: &Cluster, leader: usize) -> Result<()> {
    let proxy = Proxy::start(cluster)?;
    let mut page = Browser::start(program, 1360, 900)?;
    page.prefer("light")?;
    failover(&mut page, cluster, &proxy.address, leader)?;
    // What failed while the leader was dead was to be expected.
    let before = page.complaints().len();
    lists(&mut page, cluster)?;
    one_pod(&mut page, cluster)?;
    assert_eq!(&page.complaints()[before..], &[] as &[String]);
    by_token(&mut page, cluster)
}

/// Without a certificate there is a page to give a token to; whoever bears a good one gets in, as far as they may.
fn by_token(page: &mut Browser, cluster: &Cluster) -> Result<()> {
    let token = cluster.kubectl(&["create", "token", "default"])?;
    let token = String::from_utf8(token.stdout)?;
    let try_token = |page: &mut Browser, token: &str| {
        let token = serde_json::Value::from(token.trim());
        // The page is to be read before its script has come; signing in is not offered until then.
        page.wait_for("document.querySelector('#signin button')?.disabled === false")?;
        page.value(&format!(
            "document.getElementById('token').value = {token}; document.querySelector('#signin button').click()"
        ))
    };
    page.trust_anyone()?;
    page.open(&format!("https://{}/ui/", cluster.api(0)))?;
    page.wait_for_text(&["those it knows", "Token"])?;
    keep(page, "sign-in")?;
    try_token(page, "rubbish")?;
    page.wait_for_text(&["does not know this token"])?;
    try_token(page, &token)?;
    page.wait_for_text(&["system:serviceaccount:default:default", "You may not see this", "forbidden"])?;
    page.wait_for("document.getElementById('health').innerText.trim() === 'not allowed'")?;
    keep(page, "forbidden")?;
    page.value("document.getElementById('leave').click()")?;
    page.wait_for_text(&["those it knows"])?;
    assert_eq!(page.value("sessionStorage.getItem('token')")?, serde_json::Value::Null);
    Ok(())
}

fn failover(page: &mut Browser, cluster: &Cluster, address: &str, leader: usize) -> Result<()> {
    let name = |index: usize| format!("m{}", index + 1);
    page.open(address)?;
    page.wait_for_text(&["3 of 3 members answer", &format!("{} leads", name(leader)), "deployment-controller"])?;
    page.wait_for_text(&["admin"])?;
    // Some seconds of history, so that the charts show something.
    page.wait_for("[...document.querySelectorAll('.chart path')].some((path) => path.getAttribute('d').length > 200)")?;
    assert!(page.complaints().is_empty(), "{:?}", page.complaints());
    keep(page, "1-before")?;
    cluster.kill(&name(leader))?;
    page.wait_for_text(&["2 of 3 members answer", "does not answer"])?;
    page.wait_for("/^m[123] leads$/.test(document.getElementById('health').innerText.trim())")?;
    let leads = page.value("document.getElementById('health').innerText.trim()")?;
    assert_ne!(leads, format!("{} leads", name(leader)).as_str(), "another leads");
    page.wait_for("document.querySelector('.chart .mark') !== null")?;
    // The new leader cannot know what the dead one holds, so nothing is made up.
    let lag_of_the_dead = "[...document.querySelectorAll('tr')].find((row) => row.innerText.includes('does not answer'))?.cells[5].innerText";
    assert_eq!(page.value(lag_of_the_dead)?, "–");
    keep(page, "2-during")?;
    cluster.start(&name(leader))?;
    page.wait_for_text(&["3 of 3 members answer"])?;
    page.wait_for("document.querySelectorAll('.badge.good').length >= 2")?;
    keep(page, "3-after")
}

fn lists(page: &mut Browser, cluster: &Cluster) -> Result<()> {
    for key in ["g", "n"] {
        page.press(key)?;
    }
    page.wait_for_text(&["node-1", "node-5", "Ready"])?;
    for key in ["g", "w"] {
        page.press(key)?;
    }
    page.wait_for_text(&["Deployments", "10/10"])?;
    keep(page, "workloads")?;
    // What changes is shown as it changes.
    assert!(cluster.kubectl(&["scale", "deployment/web", "--replicas=12"])?.status.success());
    page.wait_for_text(&["12/12"])?;
    for key in ["g", "o"] {
        page.press(key)?;
    }
    page.wait_for_text(&["Objects", "kube-root-ca.crt"])
}

/// A pod that fits nowhere, from the list to what the scheduler said, without a mouse.
fn one_pod(page: &mut Browser, cluster: &Cluster) -> Result<()> {
    let run = [
        "run",
        "huge",
        "--image=nginx",
        "--overrides",
        r#"{"spec":{"containers":[{"name":"huge","image":"nginx","resources":{"requests":{"cpu":"999"}}}]}}"#,
    ];
    assert!(cluster.kubectl(&run)?.status.success());
    for key in ["g", "p"] {
        page.press(key)?;
    }
    page.wait_for_text(&["huge", "Pending"])?;
    page.prefer("dark")?;
    keep(page, "pods-dark")?;
    page.prefer("light")?;
    page.press("/")?;
    page.wait_for("document.activeElement.id === 'filter'")?;
    for key in ["h", "u", "g", "e"] {
        page.press(key)?;
    }
    page.wait_for("document.querySelectorAll('tr[data-href]').length === 1")?;
    page.press("Escape")?;
    page.press("j")?;
    page.press("Enter")?;
    page.wait_for_text(&[
        "What the scheduler said",
        "Insufficient cpu",
        "FailedScheduling",
        "YAML, live",
        "cpu: \"999\"",
    ])?;
    keep(page, "pod")?;
    // The mark goes with the next event, which may come at once.
    page.value(
        "window.marked = false; new MutationObserver(() => { \
         window.marked ||= [...document.querySelectorAll('.yaml .changed')].some((line) => line.innerText.includes('seen')) \
         }).observe(document.getElementById('main'), { childList: true, subtree: true }); 0",
    )?;
    assert!(cluster.kubectl(&["label", "pod/huge", "seen=yes"])?.status.success());
    page.wait_for("window.marked")?;
    assert!(cluster.kubectl(&["delete", "pod/huge", "--grace-period=0", "--force"])?.status.success());
    page.wait_for_text(&["deleted"])?;
    page.press("u")?;
    page.wait_for("location.hash === '#/pods'")
}
