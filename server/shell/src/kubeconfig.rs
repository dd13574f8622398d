//! The kubeconfig that a cluster hands to its administrator, and reading one to find a cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::apiclient;
use crate::pki::Pair;

/// Where commands look when nobody says: the cluster that `./x up` makes in this folder, then kubectl's own place.
const LOCAL: &str = ".trireme/kubeconfig";

/// How a command finds a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Access {
    /// A kubeconfig. [default: .trireme/kubeconfig when there is one, else ~/.kube/config]
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Ask this API server instead of the kubeconfig's, host:port; once for each to be tried in turn.
    #[arg(long = "api", value_name = "ADDRESS")]
    api: Vec<String>,
}

impl Access {
    /// Whom to ask, and as whom.
    ///
    /// # Errors
    /// When there is no kubeconfig, or one without a client certificate.
    pub fn options(&self) -> Result<apiclient::Options> {
        let path = match &self.kubeconfig {
            Some(path) => path.clone(),
            None if Path::new(LOCAL).exists() => LOCAL.into(),
            None => {
                let home = std::env::var_os("HOME").context("no --kubeconfig, and no home folder to look in")?;
                Path::new(&home).join(".kube/config")
            }
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {} (--kubeconfig names another)", path.display()))?;
        let mut options = parse(&text, path.parent().unwrap_or(Path::new(".")))
            .with_context(|| format!("{} leads to no cluster", path.display()))?;
        if !self.api.is_empty() {
            options.endpoints.clone_from(&self.api);
        }
        Ok(options)
    }
}

/// The current context of a kubeconfig. Files that it names lie relative to `folder`.
fn parse(text: &str, folder: &Path) -> Result<apiclient::Options> {
    let config: Value = serde_saphyr::from_str(text).context("it is no YAML")?;
    let named = |list: &str, name: &Value, field: &str| -> Result<Value> {
        let all = config[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = all.iter().find(|entry| &entry["name"] == name);
        Ok(found.with_context(|| format!("it has no {field} {name}"))?[field].clone())
    };
    let context = named("contexts", &config["current-context"], "context")?;
    let (cluster, user) =
        (named("clusters", &context["cluster"], "cluster")?, named("users", &context["user"], "user")?);
    let pem = |from: &Value, field: &str| -> Result<String> {
        if let Some(data) = from[&format!("{field}-data")].as_str() {
            return Ok(String::from_utf8(STANDARD.decode(data)?)?);
        }
        let Some(file) = from[field].as_str() else { bail!("it has no {field}") };
        let path = folder.join(file);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let server = cluster["server"].as_str().context("its cluster has no server")?;
    let endpoint = server.strip_prefix("https://").context("its server is not https")?.trim_end_matches('/');
    let endpoint = if endpoint.contains(':') { endpoint.to_owned() } else { format!("{endpoint}:443") };
    Ok(apiclient::Options::new(
        vec![endpoint],
        pem(&cluster, "certificate-authority")?,
        pem(&user, "client-certificate")?,
        pem(&user, "client-key")?,
    ))
}

/// Whether a kubeconfig has this certificate in it.
pub fn holds(text: &str, pair: &Pair) -> bool {
    text.contains(&STANDARD.encode(&pair.cert_pem))
}

/// A kubeconfig with everything embedded. JSON is YAML, and every client reads it.
pub fn administrator(server: &str, ca_pem: &str, admin: &Pair) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "trireme",
            "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(ca_pem)},
        }],
        "users": [{
            "name": "admin",
            "user": {
                "client-certificate-data": STANDARD.encode(&admin.cert_pem),
                "client-key-data": STANDARD.encode(&admin.key_pem),
            },
        }],
        "contexts": [{"name": "trireme", "context": {"cluster": "trireme", "user": "admin"}}],
        "current-context": "trireme",
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let pair = Pair { cert_pem: "a certificate".to_owned(), key_pem: "a key".to_owned() };
        let text = administrator("https://127.0.0.1:6440", "an authority", &pair);
        let options = parse(&text, Path::new(".")).unwrap();
        assert_eq!(options.endpoints, ["127.0.0.1:6440"]);
        assert_eq!([options.ca_pem, options.cert_pem, options.key_pem], ["an authority", "a certificate", "a key"]);
    }

    #[test]
    fn a_kubeconfig_that_leads_nowhere_says_why() {
        let check = |text: &str, expected: &str| {
            let error = format!("{:#}", parse(text, Path::new(".")).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("current-context: x", "it has no context \"x\"");
        let cluster = "{name: c, cluster: {server: 'http://h'}}";
        let rest = "contexts: [{name: x, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]";
        check(&format!("current-context: x\nclusters: [{cluster}]\n{rest}"), "its server is not https");
    }
}
