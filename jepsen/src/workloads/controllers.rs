//! Controllers: a Deployment that is scaled and rolled all the time, and its pods watched all the while.
//!
//! The Deployment is scaled only when it has converged, and rolled at any time: so at every revision it is known between
//! which sizes it moves, and what surge and unavailability allow.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Need, Workload, following};
use crate::client::{Answer, Session};
use crate::history::{Call, End};
use crate::world::{NAMESPACE, World};

/// The Deployment's name and label.
const NAME: &str = "rolling";
/// Surplus, and lack, that the Deployment allows itself.
pub const SLACK: usize = 1;
/// It converges within this once the faults are over.
const CONVERGENCE_LIMIT: Duration = Duration::from_secs(30);

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "controllers",
    text: "a Deployment scaled and rolled all the time, its pods watched at every revision",
    clients: 2,
    nodes: 3,
    need: Need::Nothing,
    run: |world, number| async move { if number == 0 { drive(world).await } else { watch_pods(world).await } }.boxed(),
    last: None,
};

fn deployments() -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments")
}

fn deployment(replicas: u64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": NAME}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": SLACK, "maxUnavailable": SLACK}},
            "template": {
                "metadata": {"labels": {"app": NAME}, "annotations": {"version": "0"}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "app:1"}]},
            },
        },
    })
}

/// Scales, rolls, waits for convergence, and again.
async fn drive(world: Arc<World>) -> Result<()> {
    let mut driver = Driver {
        session: Session::new(world.clone()),
        random: world.choices("controllers"),
        process: world.recorder.process(),
        world,
    };
    let mut size = 4;
    while !driver.until_done("create", json!({"from": 0, "to": size}), Method::Create(deployment(size))).await {
        if driver.world.is_over() {
            return Ok(());
        }
    }
    driver.converge(size).await;
    for version in 1u64.. {
        if driver.world.is_over() {
            break;
        }
        if driver.random.random_bool(0.5) {
            let to = driver.random.random_range(2..8);
            let patch = json!({"spec": {"replicas": to}});
            driver.until_done("scale", json!({"from": size, "to": to}), Method::Merge(patch)).await;
            size = to;
        }
        let rolls = driver.random.random_range(0..3);
        for part in 0..rolls {
            let annotation = format!("{version}.{part}");
            let patch = json!({"spec": {"template": {"metadata": {"annotations": {"version": annotation}}}}});
            driver.until_done("roll", json!(annotation), Method::Merge(patch)).await;
            let pause = driver.random.random_range(0..400);
            driver.world.pause(Duration::from_millis(pause)).await;
        }
        driver.converge(size).await;
    }
    // What the last patch asked for shall come about, faults or no.
    driver.settle(size).await;
    Ok(())
}

enum Method {
    Create(Value),
    Merge(Value),
}

struct Driver {
    world: Arc<World>,
    session: Session,
    random: StdRng,
    process: u64,
}

impl Driver {
    fn call(&self, f: &'static str, input: Value, master: usize) -> Call {
        Call { process: self.process, workload: "controllers", f, key: NAME.to_owned(), input, master }
    }

    /// Sends a change, again and again until it is known to be in force: each asks for a state, so twice is once.
    async fn until_done(&mut self, f: &'static str, input: Value, method: Method) -> bool {
        let master = self.random.random_range(0..self.world.cluster.masters());
        let ticket = self.world.recorder.invoke(self.call(f, input, master));
        loop {
            let master = self.random.random_range(0..self.world.cluster.masters());
            let answer = match &method {
                Method::Create(object) => self.session.post(master, &deployments(), object).await,
                Method::Merge(patch) => self.session.merge(master, &format!("{}/{NAME}", deployments()), patch).await,
            };
            let end = match answer {
                Answer::Done(body) => End::Ok(json!({"version": body["metadata"]["resourceVersion"]})),
                Answer::Refused { reason, .. } if reason == "AlreadyExists" => End::Ok(Value::Null),
                Answer::Refused { reason, message, .. } => End::Refused { reason, why: message },
                Answer::NotSent(_) | Answer::Unknown(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let done = matches!(end, End::Ok(_));
            self.world.recorder.complete(ticket, end);
            return done;
        }
    }

    /// Waits until the Deployment says that it is what was asked for, and notes the revision.
    async fn converge(&mut self, size: u64) {
        let master = self.random.random_range(0..self.world.cluster.masters());
        let ticket = self.world.recorder.invoke(self.call("converge", json!(size), master));
        while !self.world.is_over() {
            if let Some(revision) = self.converged(size).await {
                self.world.recorder.complete(ticket, End::Ok(json!({"revision": revision})));
                return;
            }
            self.world.pause(Duration::from_millis(100)).await;
        }
        self.world.recorder.complete(ticket, End::Fail("the round ended before".to_owned()));
    }

    /// The last convergence, which must come.
    async fn settle(&mut self, size: u64) {
        let ticket = self.world.recorder.invoke(self.call("settle", json!(size), 0));
        let settling = async {
            loop {
                if let Some(revision) = self.converged(size).await {
                    return revision;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let end = match tokio::time::timeout(CONVERGENCE_LIMIT, settling).await {
            Ok(revision) => End::Ok(json!({"revision": revision})),
            Err(_) => End::Fail(format!("it has not converged {CONVERGENCE_LIMIT:?} after the end")),
        };
        self.world.recorder.complete(ticket, end);
    }

    /// The revision at which it was seen converged.
    async fn converged(&mut self, size: u64) -> Option<u64> {
        let master = self.random.random_range(0..self.world.cluster.masters());
        let path = format!("{}?fieldSelector=metadata.name%3D{NAME}", deployments());
        let Answer::Done(list) = self.session.get(master, &path).await else { return None };
        let object = &list["items"][0];
        let status = |field: &str| object["status"][field].as_u64().unwrap_or(0);
        let same = object["status"]["observedGeneration"] == object["metadata"]["generation"]
            && [status("replicas"), status("updatedReplicas"), status("availableReplicas")] == [size; 3];
        same.then(|| list["metadata"]["resourceVersion"].as_str()?.parse().ok())?
    }
}

/// Watches the pods from the beginning on, through one master after another.
async fn watch_pods(world: Arc<World>) -> Result<()> {
    let process = world.recorder.process();
    let call =
        Call { process, workload: "controllers", f: "pods", key: NAME.to_owned(), input: Value::Null, master: 0 };
    let ticket = world.recorder.invoke(call);
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3D{NAME}");
    let pods = following::follow(&world, "controllers' watcher", &path, seen).await;
    world.recorder.complete(ticket, End::Ok(json!({"pods": pods})));
    Ok(())
}

/// `[revision, name, there, available, terminating]`
fn seen(revision: u64, event: &Value) -> Value {
    let object = &event["object"];
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
    let terminating = object["metadata"]["deletionTimestamp"].is_string();
    json!([revision, object["metadata"]["name"], event["type"] != "DELETED", ready && !terminating, terminating])
}
