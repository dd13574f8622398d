//! What is measured of one control plane, in one order for all.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests_e2e::Client;

use super::load::{Meter, load};
use super::{Args, bound, pod_spec, watching};
use crate::usage;

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Lists are asked for so often; the fastest counts.
const LISTS: usize = 5;

/// A control plane under test.
pub(super) struct Subject<'a> {
    pub(super) name: &'static str,
    pub(super) clients: Vec<Client>,
    /// The servers' processes by name; those that answer the API come first.
    pub(super) servers: Vec<(String, i32)>,
    /// From the start of the first process until all serve.
    pub(super) ready_s: f64,
    pub(super) args: &'a Args,
}

impl Subject<'_> {
    /// Measures everything.
    ///
    /// # Errors
    /// When an answer is an error.
    pub(super) async fn measure(&self) -> Result<Value> {
        let args = self.args;
        self.wait_for_service_account().await?;
        let idle = self.memory()?;
        let create = self.creates().await.context("create")?;
        self.say("create", &create);
        let get = self.gets().await.context("get")?;
        self.say("get", &get);
        let list = self.lists().await.context("list")?;
        self.say("list", &list);
        let loaded = self.memory()?;
        self.say("memory", &loaded);
        let mut measured = json!({
            "ready_s": (self.ready_s * 10.0).round() / 10.0,
            "create": create, "get": get, "list": list, "idle_mb": idle, "loaded_mb": loaded,
        });
        if args.watchers > 0 {
            let watched =
                watching::measure(&self.clients, &self.pids(), args.watchers, args.workers, args.watched).await?;
            self.say("watch", &watched);
            measured["watch"] = watched;
        }
        if args.deployed > 0 {
            let bound = bound::on_bare_nodes(&self.clients[0], &self.pids(), args.deployed).await?;
            self.say("Deployment to bound", &bound);
            measured["bound"] = bound;
        }
        Ok(measured)
    }

    fn say(&self, what: &str, value: &Value) {
        println!("{}: {what} {value}", self.name);
    }

    fn pids(&self) -> Vec<i32> {
        self.servers.iter().map(|(_, pid)| *pid).collect()
    }

    /// Pods are refused until the namespace has its ServiceAccount.
    async fn wait_for_service_account(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let reply = self.clients[0].get("/api/v1/namespaces/default/serviceaccounts/default").await?;
            if reply.status.is_success() {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "no default ServiceAccount after 30 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// No scheduler takes these pods: the load is the API's alone, on both sides.
    async fn creates(&self) -> Result<Value> {
        let spec = pod_spec("nobody").to_string();
        load(&self.clients, &self.pids(), self.args.workers, self.args.pods, move |client, number| {
            let body = format!(
                "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"pod-{number}\",\
                 \"labels\":{{\"app\":\"bench\",\"shard\":\"{}\"}}}},\"spec\":{spec}}}",
                number % 100
            );
            async move { client.post_bytes(PODS, body.into()).await?.ok() }
        })
        .await
    }

    async fn gets(&self) -> Result<Value> {
        let pods = self.args.pods;
        load(&self.clients, &self.pids(), self.args.workers, self.args.gets, move |client, number| async move {
            client.get(&format!("{PODS}/pod-{}", number % pods)).await?.ok()
        })
        .await
    }

    /// All pods in one answer.
    async fn lists(&self) -> Result<Value> {
        let mut fastest = f64::MAX;
        let mut bytes = 0;
        let meter = Meter::start(&self.pids())?;
        for _ in 0..LISTS {
            let begun = Instant::now();
            let reply = self.clients[0].get(PODS).await?;
            reply.ok()?;
            fastest = fastest.min(begun.elapsed().as_secs_f64());
            bytes = reply.body.len();
        }
        let cpu_us = meter.stop(LISTS)?["cpu_us"].clone();
        Ok(json!({"seconds": (fastest * 1e3).round() / 1e3, "mb": bytes / 1_000_000, "cpu_us": cpu_us}))
    }

    /// Resident memory in MB: of each process, of the largest that answers the API, and of all together.
    fn memory(&self) -> Result<Value> {
        let mut each = serde_json::Map::new();
        let (mut sum, mut largest) = (0, 0);
        for (name, pid) in &self.servers {
            let mb = usage::of(&[*pid])?.memory_bytes / 1_000_000;
            each.insert(name.clone(), mb.into());
            sum += mb;
            if !name.starts_with("etcd") {
                largest = largest.max(mb);
            }
        }
        Ok(json!({"each": each, "largest": largest, "sum": sum}))
    }
}
