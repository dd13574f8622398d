//! The metrics of processes that serve no API: front doors and nodes. Mutual TLS, on a port of its own, off unless asked for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::pki::Pair;
use crate::{observe, rotation, serve, tls};

/// Flags of a process that can show its metrics.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Serve metrics here, over mutual TLS.
    #[arg(long, env = "TRIREME_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Certificate and key for it: the path of <stem>.crt and <stem>.key without the ending.
    #[arg(long, env = "TRIREME_METRICS_PAIR", value_name = "STEM")]
    metrics_pair: Option<PathBuf>,
}

impl Args {
    /// Opens the port, when there is to be one.
    ///
    /// # Errors
    /// When the address is taken or there is no certificate.
    pub async fn open(
        self,
        ca_pem: &str,
        register: impl FnOnce(&mut Registry),
        stop: watch::Receiver<bool>,
    ) -> Result<()> {
        let Some(listen) = self.metrics_listen else { return Ok(()) };
        let Some(stem) = self.metrics_pair else {
            bail!("--metrics-listen needs --metrics-pair: metrics are served over TLS alone");
        };
        let pair = Pair::read(&stem)?;
        let certificates = Arc::new(observe::Certificates::default());
        certificates.put("ca", ca_pem);
        certificates.put("metrics", &pair.cert_pem);
        let mut registry = Registry::default();
        let shown = certificates.clone();
        observe::register_process(&mut registry, certificates);
        register(&mut registry);
        let listener = serve::bind(listen).await?;
        let (tls_sender, tls) = watch::channel(tls::api_server(ca_pem, &pair)?);
        let ca_pem = ca_pem.to_owned();
        tokio::spawn(rotation::follow(rotation::pair(&stem).to_vec(), move || {
            let fresh = Pair::read(&stem)?;
            tls_sender.send_replace(tls::api_server(&ca_pem, &fresh)?);
            shown.put("metrics", &fresh.cert_pem);
            Ok(())
        }));
        tokio::spawn(serve::run(listener, tls, observe::metrics_router(registry), stop));
        Ok(())
    }
}
