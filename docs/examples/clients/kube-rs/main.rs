//! kube-rs against Trireme: typed objects, server-side apply, and a reflector that keeps up with what happens.
//!
//! In a Cargo.toml: `kube = { version = "5", features = ["runtime"] }`, `k8s-openapi = { version = "0.29", features =
//! ["v1_37"] }`, `futures`, `serde_json`, `anyhow` and `tokio`.

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<()> {
    // The kubeconfig that KUBECONFIG names, or ~/.kube/config.
    run(Client::try_default().await?).await
}

/// Runs the example.
pub async fn run(client: Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());

    // A reflector lists once, then follows; its store is read without asking anybody.
    let (store, writer) = reflector::store();
    let watched = watcher(maps.clone(), watcher::Config::default().labels("example=kube-rs"));
    let mut changes = watched.default_backoff().reflect(writer).applied_objects().boxed();

    // Server-side apply: this program owns the fields that it names, and no others.
    let ours = PatchParams::apply("kube-rs-example");
    let greeting = |text: &str| {
        Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "greeting", "labels": {"example": "kube-rs"}},
            "data": {"text": text},
        }))
    };
    for text in ["hello", "good morning"] {
        maps.patch("greeting", &ours, &greeting(text)).await?;
        let seen = changes.next().await.context("a watch has no end")??;
        println!("saw {}: {}", seen.name_any(), seen.data.unwrap_or_default()["text"]);
    }
    println!("the store holds {} object", store.state().len());

    // What another manager owns is not taken from it unawares.
    let other = PatchParams::apply("somebody-else");
    match maps.patch("greeting", &other, &greeting("good night")).await {
        Err(kube::Error::Api(status)) if status.code == 409 => println!("a conflict, as it should be"),
        other => anyhow::bail!("expected a conflict, not {other:?}"),
    }
    maps.delete("greeting", &DeleteParams::default()).await?;

    let deployments: Api<Deployment> = Api::all(client);
    println!("{} Deployments in all namespaces", deployments.list(&Default::default()).await?.items.len());
    Ok(())
}
