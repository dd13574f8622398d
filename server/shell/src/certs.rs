//! `trireme certs`: the certificates of a cluster whose masters do not share a folder (docker compose, machines).

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};

use crate::keyring::Keyring;
use crate::kubeconfig;
use crate::pki::{Authority, Subject, write_private};

/// `trireme certs`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Issue what is missing; what exists is kept.
    Issue(Issue),
    /// Print the administrator's kubeconfig.
    Kubeconfig {
        /// The folder that `issue` was given as --admin.
        #[arg(long)]
        admin: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Issue {
    /// Holds the authority's key and the keyring of Secrets: keep it apart from everything that runs.
    #[arg(long)]
    authority: PathBuf,
    /// Gets the administrator's certificate and kubeconfig.
    #[arg(long)]
    admin: PathBuf,
    /// Where the kubeconfig leads.
    #[arg(long, default_value = "https://127.0.0.1:6440")]
    server: String,
    /// A master and the folder for its --tls-dir; once for each.
    #[arg(long = "master", value_name = "NAME=FOLDER")]
    masters: Vec<Place>,
    /// Further names and addresses by which clients know the masters.
    #[arg(long = "san", value_name = "NAME")]
    names: Vec<String>,
    /// A node and the folder for its --tls-dir; once for each.
    #[arg(long = "node", value_name = "NAME=FOLDER")]
    nodes: Vec<Place>,
    /// A folder that gets the authority's certificate alone.
    #[arg(long = "trust", value_name = "FOLDER")]
    trust: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
struct Place {
    name: String,
    folder: PathBuf,
}

impl FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((name, folder)) if !name.is_empty() && !folder.is_empty() => {
                Ok(Self { name: name.to_owned(), folder: folder.into() })
            }
            _ => Err(anyhow!("expected <name>=<folder>")),
        }
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Issue(issue) => issue.run(),
        Command::Kubeconfig { admin } => {
            let path = admin.join("kubeconfig");
            let config = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            say!("{}", config.trim_end());
            Ok(())
        }
    }
}

impl Issue {
    fn run(&self) -> Result<()> {
        let authority = Authority::open_or_generate(&self.authority.join("ca.crt"), &self.authority.join("ca.key"))?;
        let keyring = Keyring::open_or_generate(&self.authority.join("secrets.key"))?;
        let trusted = |folder: &Path| {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
            let path = folder.join("ca.crt");
            std::fs::write(&path, &authority.cert_pem).with_context(|| format!("writing {}", path.display()))
        };
        for master in &self.masters {
            let names: Vec<String> = std::iter::once(&master.name).chain(&self.names).cloned().collect();
            authority.read_or_issue(&master.folder.join("apiserver"), &Subject::api_server(&names))?;
            authority.read_or_issue(&master.folder.join("peer"), &Subject::master(&master.name))?;
            keyring.write(&master.folder.join("secrets.key"))?;
            trusted(&master.folder)?;
        }
        for node in &self.nodes {
            authority.read_or_issue(&node.folder.join(&node.name), &Subject::node(&node.name))?;
            trusted(&node.folder)?;
        }
        for folder in &self.trust {
            trusted(folder)?;
        }
        let admin = authority.read_or_issue(&self.admin.join("admin"), &Subject::client("admin", "system:masters"))?;
        trusted(&self.admin)?;
        let config = kubeconfig::administrator(&self.server, &authority.cert_pem, &admin);
        write_private(&self.admin.join("kubeconfig"), config.as_bytes())?;
        say!("certificates are in place");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_is_kept_and_only_the_authority_has_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let place = |name: &str| Place { name: name.to_owned(), folder: at(name) };
        let mut issue = Issue {
            authority: at("authority"),
            admin: at("admin"),
            server: "https://127.0.0.1:6440".to_owned(),
            masters: vec![place("m1")],
            names: vec!["10.1.2.3".to_owned()],
            nodes: vec![place("n1")],
            trust: vec![at("front")],
        };
        issue.run().unwrap();
        let before = std::fs::read_to_string(at("m1/apiserver.crt")).unwrap();
        issue.masters.push(place("m2"));
        issue.run().unwrap();
        assert_eq!(std::fs::read_to_string(at("m1/apiserver.crt")).unwrap(), before);
        assert_eq!(std::fs::read(at("m1/secrets.key")).unwrap(), std::fs::read(at("m2/secrets.key")).unwrap());
        for name in ["m1/ca.crt", "m2/peer.key", "n1/n1.key", "front/ca.crt", "admin/kubeconfig", "authority/ca.key"] {
            assert!(at(name).exists(), "{name}");
        }
        assert!(!at("m1/ca.key").exists());
    }

    #[test]
    fn a_place_is_a_name_and_a_folder() {
        assert!("m1=/tls/m1".parse::<Place>().is_ok());
        for bad in ["m1", "=x", "m1="] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
