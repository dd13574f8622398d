//! `trireme certs`: the certificates of a cluster whose masters do not share a folder (docker compose, machines).

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::keyring::Keyring;
use crate::kubeconfig;
use crate::observe::certificates::Certificate;
use crate::pki::{Authority, Renewal, Subject, write_private};

/// `trireme certs`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Issue what is missing and renew what has lived two thirds of its time; the rest is kept. What runs takes new ones up.
    Issue(Issue),
    /// Issue a client certificate: for Prometheus (--group=system:monitoring), for a person.
    Client(Client),
    /// Print when certificates expire.
    Show {
        /// PEM files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
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
    /// Issue all certificates anew, however fresh they are; the authority stays.
    #[arg(long)]
    renew: bool,
    /// What is issued is good for so many days.
    #[arg(long, default_value_t = crate::pki::VALID_DAYS, value_name = "DAYS")]
    valid_days: u32,
    /// Go on, and look every so many hours for what is due.
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..))]
    every_hours: Option<u64>,
    /// A folder that gets the authority's certificate alone.
    #[arg(long = "trust", value_name = "FOLDER")]
    trust: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Client {
    /// Holds the authority's key.
    #[arg(long)]
    authority: PathBuf,
    /// The user's name.
    #[arg(long)]
    user: String,
    /// The user's group.
    #[arg(long)]
    group: Option<String>,
    /// The certificate is good for so many days.
    #[arg(long, default_value_t = crate::pki::VALID_DAYS, value_name = "DAYS")]
    valid_days: u32,
    /// Gets <user>.crt, <user>.key and ca.crt.
    #[arg(long)]
    out: PathBuf,
}

impl Client {
    fn run(&self) -> Result<()> {
        let (cert, key) = (self.authority.join("ca.crt"), self.authority.join("ca.key"));
        anyhow::ensure!(
            key.exists(),
            "{} is not there: only the authority's holder issues certificates",
            key.display()
        );
        let authority = Authority::open_or_generate(&cert, &key)?;
        let subject = Subject {
            common_name: self.user.clone(),
            organization: self.group.clone(),
            client: true,
            ..Subject::default()
        };
        anyhow::ensure!(!self.user.contains(['/', '\\']), "{} cannot be the name of a file", self.user);
        authority.issue_for(&subject, self.valid_days)?.write(&self.out.join(&self.user))?;
        std::fs::write(self.out.join("ca.crt"), &authority.cert_pem)?;
        say!("{} is in {}", self.user, self.out.display());
        Ok(())
    }
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
pub async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Issue(issue) => issue.run_for_ever().await,
        Command::Client(client) => client.run(),
        Command::Show { files } => show(&files),
        Command::Kubeconfig { admin } => {
            let path = admin.join("kubeconfig");
            let config = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            say!("{}", config.trim_end());
            Ok(())
        }
    }
}

fn show(files: &[PathBuf]) -> Result<()> {
    for path in files {
        let pem = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let certificate = Certificate::read("", &pem).with_context(|| path.display().to_string())?;
        let days = (certificate.not_after - crate::clock::now_us() / 1_000_000) as f64 / 86_400.0;
        let until = api_kinds::time::rfc3339(certificate.not_after * 1_000_000);
        say!("{}\t{}\tuntil {until} ({days:.1} days)", path.display(), certificate.subject);
    }
    Ok(())
}

impl Issue {
    /// Once, or again and again.
    async fn run_for_ever(&self) -> Result<()> {
        self.run()?;
        say!("certificates are in place");
        let Some(hours) = self.every_hours else { return Ok(()) };
        let mut stop = crate::stop::on_signal()?;
        loop {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(3600 * hours)) => {}
                () = crate::stop::told(&mut stop) => return Ok(()),
            }
            // A full disk today is no reason to give up for good.
            if let Err(error) = self.run() {
                tracing::error!("certificates were not renewed: {error:#}");
            }
        }
    }

    fn run(&self) -> Result<()> {
        let authority = Authority::open_or_generate(&self.authority.join("ca.crt"), &self.authority.join("ca.key"))?;
        let keyring = Keyring::open_or_generate(&self.authority.join("secrets.key"))?;
        let renewal = Renewal { valid_days: self.valid_days, force: self.renew };
        let issue = |stem: &Path, subject: &Subject| authority.read_or_renew(stem, subject, &renewal);
        let trusted = |folder: &Path| {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
            let path = folder.join("ca.crt");
            std::fs::write(&path, &authority.cert_pem).with_context(|| format!("writing {}", path.display()))
        };
        for master in &self.masters {
            let names: Vec<String> = std::iter::once(&master.name).chain(&self.names).cloned().collect();
            issue(&master.folder.join("apiserver"), &Subject::api_server(&names))?;
            issue(&master.folder.join("peer"), &Subject::master(&master.name))?;
            keyring.write(&master.folder.join("secrets.key"))?;
            trusted(&master.folder)?;
        }
        for node in &self.nodes {
            issue(&node.folder.join(&node.name), &Subject::node(&node.name))?;
            issue(&node.folder.join("metrics"), &Subject::metrics(&node.name))?;
            trusted(&node.folder)?;
        }
        for folder in &self.trust {
            trusted(folder)?;
        }
        let admin = issue(&self.admin.join("admin"), &Subject::client("admin", "system:masters"))?;
        trusted(&self.admin)?;
        let config = kubeconfig::administrator(&self.server, &authority.cert_pem, &admin);
        write_private(&self.admin.join("kubeconfig"), config.as_bytes())
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
            renew: false,
            valid_days: 365,
            every_hours: None,
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
        issue.renew = true;
        issue.run().unwrap();
        assert_ne!(std::fs::read_to_string(at("m1/apiserver.crt")).unwrap(), before);
    }

    #[test]
    fn a_place_is_a_name_and_a_folder() {
        assert!("m1=/tls/m1".parse::<Place>().is_ok());
        for bad in ["m1", "=x", "m1="] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
