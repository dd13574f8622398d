//! kube-rs, which is the Kubernetes client of Rust: the example in the docs against real processes.

#![allow(missing_docs)]

use kube::config::{KubeConfigOptions, Kubeconfig};
use tests_e2e::Cluster;

#[allow(dead_code, clippy::print_stdout, reason = "its main function and what it prints are for readers")]
#[path = "../../../docs/examples/clients/kube-rs/main.rs"]
mod example;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_works_through_the_front_door() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::up(3, 0)?;
    let kubeconfig = Kubeconfig::read_from(cluster.dir().join("kubeconfig"))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    tokio::time::timeout(std::time::Duration::from_secs(60), example::run(config.try_into()?)).await?
}
