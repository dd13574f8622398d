//! How the command line finds the cluster: a kubeconfig, as kubectl's, or the folder of a local cluster, or certificates and
//! addresses by themselves, for a store has no kubeconfig.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use api_client::{Client, Options, Tls};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::local::Layout;
use crate::pki::Pair;

const DEADLINE: Duration = Duration::from_secs(30);

/// Whom to ask, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub struct Access {
    /// The kubeconfig with the cluster's address and an administrator's certificate. [default: $KUBECONFIG, else that of the
    /// local cluster in --dir]
    #[arg(long, global = true)]
    kubeconfig: Option<PathBuf>,
    /// Folder of a local cluster (./x up). [default: $TRIREME_DIR, else .trireme]
    #[arg(long, global = true, conflicts_with = "kubeconfig")]
    dir: Option<PathBuf>,
    /// API address of a master, host:port, in place of the kubeconfig's; once for each.
    #[arg(long = "server", global = true)]
    servers: Vec<String>,
    /// The cluster's CA certificate, where there is no kubeconfig; with --identity and --server.
    #[arg(long, global = true, conflicts_with_all = ["kubeconfig", "dir"])]
    ca: Option<PathBuf>,
    /// An administrator's certificate and key, without `.crt` and `.key`; with --ca and --server.
    #[arg(long, global = true, value_name = "STEM", conflicts_with_all = ["kubeconfig", "dir"])]
    identity: Option<PathBuf>,
}

impl Access {
    /// A client as was asked for.
    pub fn client(&self, deadline: Duration) -> Result<Client> {
        let mut options = self.options()?;
        options.deadline = deadline;
        if !self.servers.is_empty() {
            options.masters.clone_from(&self.servers);
        }
        Ok(Client::new(&options)?)
    }

    fn options(&self) -> Result<Options> {
        match (&self.ca, &self.identity) {
            (Some(ca), Some(identity)) => {
                ensure!(!self.servers.is_empty(), "which master? Give --server HOST:PORT, its API's address");
                return with_certificates(self.servers.clone(), ca, identity);
            }
            (None, None) => {}
            _ => bail!("--ca and --identity go together"),
        }
        let named = || std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let named = self.kubeconfig.clone().or_else(|| if self.dir.is_none() { named() } else { None });
        let from_environment = || std::env::var_os("TRIREME_DIR").map_or_else(|| ".trireme".into(), PathBuf::from);
        let dir = self.dir.clone().unwrap_or_else(from_environment);
        let path = named.clone().unwrap_or_else(|| dir.join("kubeconfig"));
        if named.is_none() && !path.exists() {
            ensure!(
                dir.join("cluster.json").exists(),
                "no cluster in {}: name a kubeconfig (--kubeconfig, or KUBECONFIG), the folder of a local cluster (--dir), \
                 or a master with --server, --ca and --identity",
                dir.display()
            );
            return of_local(&dir);
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {} (--kubeconfig names another, or set KUBECONFIG)", path.display()))?;
        read(&text).with_context(|| format!("{} is no use here", path.display()))
    }
}

/// A local cluster's masters, with its administrator's certificate.
pub fn of_local(dir: &Path) -> Result<Options> {
    with_certificates(masters_of(dir)?, &dir.join("ca.crt"), &dir.join("admin"))
}

/// API addresses of a local cluster.
pub fn masters_of(dir: &Path) -> Result<Vec<String>> {
    let layout = Layout::open(dir)?;
    Ok(layout.shape.masters_now().into_iter().map(|index| layout.api(index).to_string()).collect())
}

/// Masters, and certificates in files.
pub fn with_certificates(masters: Vec<String>, ca: &Path, identity: &Path) -> Result<Options> {
    let ca_pem = std::fs::read_to_string(ca)
        .with_context(|| format!("reading {} (--ca names the cluster's CA certificate)", ca.display()))?;
    let pair = Pair::read(identity).context("an administrator's certificate and key (--identity names them)")?;
    let tls = Tls { ca_pem, cert_pem: pair.cert_pem, key_pem: pair.key_pem };
    Ok(Options { masters, tls: Some(tls), deadline: DEADLINE })
}

/// The current context of a kubeconfig, YAML or JSON, with its certificates embedded or in files.
fn read(text: &str) -> Result<Options> {
    let config: Value = serde_saphyr::from_str(text).context("it is no YAML")?;
    let context = named(&config, "contexts", config["current-context"].as_str().unwrap_or_default(), "context")?;
    let cluster = named(&config, "clusters", context["cluster"].as_str().unwrap_or_default(), "cluster")?;
    let user = named(&config, "users", context["user"].as_str().unwrap_or_default(), "user")?;
    let server = cluster["server"].as_str().context("the cluster has no server")?;
    let Some(master) = server.strip_prefix("https://") else { bail!("{server} is no https address") };
    let master = master.trim_end_matches('/');
    let master = if master.contains(':') { master.to_owned() } else { format!("{master}:443") };
    Ok(Options {
        masters: vec![master],
        tls: Some(Tls {
            ca_pem: pem(cluster, "certificate-authority")?,
            cert_pem: pem(user, "client-certificate").context("a client certificate is needed")?,
            key_pem: pem(user, "client-key")?,
        }),
        deadline: DEADLINE,
    })
}

fn named<'a>(config: &'a Value, list: &str, name: &str, field: &str) -> Result<&'a Value> {
    let entries = config[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = entries.iter().find(|entry| entry["name"] == name);
    entry.map(|entry| &entry[field]).with_context(|| format!("it has no entry {name:?} among its {list}"))
}

/// `<field>-data` in base64, or the file that `<field>` names.
fn pem(object: &Value, field: &str) -> Result<String> {
    if let Some(data) = object[format!("{field}-data")].as_str() {
        return Ok(String::from_utf8(STANDARD.decode(data).with_context(|| format!("{field}-data"))?)?);
    }
    let path = object[field].as_str().with_context(|| format!("it has neither {field}-data nor {field}"))?;
    std::fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_read_as_kubectl_reads_it() {
        let yaml = "
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: c, user: u}}
clusters:
- name: c
  cluster: {server: 'https://10.0.0.1', certificate-authority-data: Y2E=}
users:
- name: u
  user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}
";
        let options = read(yaml).unwrap();
        assert_eq!(options.masters, ["10.0.0.1:443"]);
        let tls = options.tls.unwrap();
        assert_eq!((tls.ca_pem.as_str(), tls.cert_pem.as_str(), tls.key_pem.as_str()), ("ca", "cert", "key"));
        assert!(read(&yaml.replace("current-context: here", "current-context: there")).is_err());
        assert!(read(&yaml.replace("https:", "http:")).is_err());
    }
}
