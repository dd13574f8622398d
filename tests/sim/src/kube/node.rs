//! A node: the agent's decisions that ship, over containers that pretend to run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api_rest::call::{Address, Verb};
use bytes::Bytes;
use raft_state::{Revision, Snapshot};
use serde::Deserialize;
use serde_json::{Value, json};
use server_agent::node::Machine;
use server_agent::{Action, Observation, PodRun, PodSpec, status};

use super::seen::PODS;
use super::user::{User, address};
use crate::client::Cluster;
use crate::clock::wall_us;
use crate::rng::Rng;
use crate::tasks::WORLD;

/// Pods that a node holds at most.
pub const PODS_MAX: u32 = 4;
/// The cores of a node.
pub const CORES: &str = "1";
/// What a container asks for, so that a node is full of four.
pub const REQUEST: &str = "250m";
/// Between two looks at the pods, at most.
const LOOK_US: u64 = 60_000;
/// How long starting, getting ready and stopping take at most.
const STEP_US: u64 = 100_000;

/// A pod here.
struct Pod {
    spec: PodSpec,
    run: PodRun,
    /// What is going to be seen of its containers, and when.
    coming: Vec<(u64, Observation)>,
    reported: Value,
}

struct Node {
    user: User,
    machine: Machine,
    pods: BTreeMap<String, Pod>,
    /// Pods by key with the revision that was read, and the uid of one that is here.
    read: BTreeMap<Bytes, (Revision, Option<String>)>,
    /// It never looks back.
    seen: Revision,
}

/// Begins one.
pub fn begin(cluster: &Arc<Cluster>, rng: Rng, number: u64) {
    let machine = Machine {
        name: format!("n{number}"),
        address: format!("10.1.0.{number}"),
        cpu: CORES.to_owned(),
        memory: "4Gi".to_owned(),
        pods: PODS_MAX,
        version: "simulated".to_owned(),
    };
    let user = User::new(cluster.clone(), rng, "node");
    let node = Node { user, machine, pods: BTreeMap::new(), read: BTreeMap::new(), seen: 0 };
    cluster.spawner.spawn(WORLD, node.run());
}

impl Node {
    async fn run(mut self) {
        loop {
            self.user.pause(LOOK_US).await;
            let Some(snapshot) = self.user.look().filter(|snapshot| snapshot.revision() >= self.seen) else { continue };
            self.seen = snapshot.revision();
            self.report_itself(&snapshot).await;
            self.learn(&snapshot);
            let uids: Vec<String> = self.pods.keys().cloned().collect();
            for uid in uids {
                self.look_after(&uid).await;
            }
        }
    }

    /// Registers, and says that it is ready when others have said that it is not.
    async fn report_itself(&mut self, snapshot: &Snapshot) {
        let key = format!("/registry/core/nodes/{}", self.machine.name);
        let place = Address { group: "", plural: "nodes", namespace: String::new(), name: self.machine.name.clone() };
        let verb = match snapshot.get(key.as_bytes()) {
            None => Verb::Create(self.machine.object(wall_us())),
            Some(entry) => {
                let node: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
                let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
                if conditions.any(|c| c["type"] == "Ready" && c["status"] == "True") {
                    return;
                }
                let patch = json!({"status": self.machine.status(wall_us())});
                Verb::Merge { subresource: "status", patch, at: None }
            }
        };
        // Tried again at the next look.
        drop(self.user.call(&place, verb).await);
    }

    /// Takes in which pods are here.
    fn learn(&mut self, snapshot: &Snapshot) {
        let mut there = BTreeSet::new();
        for entry in snapshot.range(PODS, None) {
            there.insert(entry.key.clone());
            if self.read.get(&entry.key).is_some_and(|(revision, _)| *revision == entry.mod_revision) {
                continue;
            }
            let value: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
            let is_ours = value["spec"]["nodeName"] == self.machine.name.as_str();
            let spec = is_ours.then(|| PodSpec::deserialize(&value).ok()).flatten();
            let uid = spec.as_ref().map(|spec| spec.metadata.uid.clone());
            if let Some(spec) = spec {
                let run = || PodRun::new(&spec, wall_us());
                let pod = self.pods.entry(spec.metadata.uid.clone()).or_insert_with(|| Pod {
                    run: run(),
                    spec: spec.clone(),
                    coming: vec![(0, Observation::Networked { ip: "10.2.0.1".to_owned() })],
                    reported: Value::Null,
                });
                pod.spec = spec;
            }
            self.read.insert(entry.key.clone(), (entry.mod_revision, uid));
        }
        self.read.retain(|key, _| there.contains(key));
        let ours: BTreeSet<&String> = self.read.values().filter_map(|(_, uid)| uid.as_ref()).collect();
        self.pods.retain(|uid, _| ours.contains(uid));
    }

    /// Lets a pod's containers go on, and says what came of them.
    async fn look_after(&mut self, uid: &str) {
        let now_us = self.user.cluster.clock.now_us();
        let Some(pod) = self.pods.get_mut(uid) else { return };
        pod.pass(now_us);
        let step = pod.run.step(&pod.spec, wall_us());
        let mut is_over = false;
        for action in step.actions {
            let in_us = self.user.rng.between(1_000, STEP_US);
            match action {
                Action::Start { container, .. } => {
                    let ready_us = in_us + self.user.rng.between(1_000, STEP_US);
                    pod.coming.push((now_us + in_us, Observation::Started { container: container.clone() }));
                    pod.coming.push((now_us + ready_us, Observation::Ready { container, ready: true }));
                }
                Action::Stop { container, .. } => {
                    pod.coming.clear();
                    pod.coming.push((now_us + in_us, Observation::Exited { container, exit_code: 0 }));
                }
                Action::Remove => is_over = true,
            }
        }
        let place = address("", "pods", &pod.spec.metadata.name);
        let told = status::report(&pod.spec, &pod.run, &self.machine.address, wall_us());
        let verb = if is_over {
            Verb::Delete { uid: Some(uid.to_owned()), at: None, grace_period_s: Some(0), propagation: None }
        } else if told == pod.reported || pod.spec.finished() {
            return;
        } else {
            let patch = json!({"metadata": {"uid": uid}, "status": told.clone()});
            Verb::Merge { subresource: "status", patch, at: None }
        };
        let answer = self.user.call(&place, verb).await;
        let Some(pod) = self.pods.get_mut(uid) else { return };
        match answer {
            // Gone, or another incarnation: the next look will show it.
            Some(Ok(_)) => pod.reported = told,
            Some(Err(status)) if matches!(status.reason, "NotFound" | "Conflict") => pod.reported = told,
            _ => pod.run.removal_failed(),
        }
    }
}

impl Pod {
    /// What was to come until now has come.
    fn pass(&mut self, now_us: u64) {
        self.coming.sort_by_key(|(at_us, _)| *at_us);
        while self.coming.first().is_some_and(|(at_us, _)| *at_us <= now_us) {
            let (_, observation) = self.coming.remove(0);
            self.run.observe(observation, wall_us());
        }
    }
}
