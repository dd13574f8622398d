//! Nodes: nothing is done to them, and what the masters say of them is watched all the while.

use std::sync::Arc;

use anyhow::Result;
use futures::FutureExt;
use serde_json::{Value, json};

use super::{Need, Workload, following};
use crate::history::{Call, End};
use crate::world::World;

const NAME: &str = "nodes";

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: NAME,
    text: "nodes whose agent is left alone, and what is said of them watched at every revision",
    clients: 1,
    nodes: 3,
    need: Need::Nothing,
    run: |world, _| watch_nodes(world).boxed(),
    last: None,
};

async fn watch_nodes(world: Arc<World>) -> Result<()> {
    let process = world.recorder.process();
    let call = Call { process, workload: NAME, f: NAME, key: String::new(), input: Value::Null, master: 0 };
    let ticket = world.recorder.invoke(call);
    let nodes = following::follow(&world, "nodes' watcher", "/api/v1/nodes?allowWatchBookmarks=false", seen).await;
    world.recorder.complete(ticket, End::Ok(json!({"nodes": nodes})));
    Ok(())
}

/// `[revision, name, status of Ready, keys of NoExecute taints]`
fn seen(revision: u64, event: &Value) -> Value {
    let object = &event["object"];
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.filter(|c| c["type"] == "Ready").find_map(|c| c["status"].as_str()).unwrap_or_default();
    let taints = object["spec"]["taints"].as_array().into_iter().flatten();
    let evicting: Vec<&Value> = taints.filter(|t| t["effect"] == "NoExecute").map(|t| &t["key"]).collect();
    json!([revision, object["metadata"]["name"], ready, evicting])
}
