//! The pods of one simulated node: one task each, fed by a watch.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use server_agent::node::Machine;
use server_agent::{Action, Observation, PodRun, PodSpec, status};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::behaviour::{Behaviour, Script};
use super::pod_address;
use crate::apiclient::{Client, Error};
use crate::clock::now_us;

/// Status writes of one node in flight at once.
const WRITES_MAX: usize = 16;
/// After a list or watch that failed.
const RETRY: Duration = Duration::from_millis(200);

/// What the tasks of a node's pods share.
struct Node {
    machine: Machine,
    number: u32,
    client: Client,
    behaviour: Behaviour,
    writes: Semaphore,
    /// Which of the node's pod addresses are taken.
    addresses: Mutex<[bool; 256]>,
}

/// Lists and watches the node's pods, for ever.
pub(super) async fn run(machine: &Machine, number: u32, client: &Client, behaviour: &Behaviour) {
    let node = Arc::new(Node {
        machine: machine.clone(),
        number,
        client: client.clone(),
        behaviour: behaviour.clone(),
        writes: Semaphore::new(WRITES_MAX),
        addresses: Mutex::new([false; 256]),
    });
    let mut pods: HashMap<String, mpsc::UnboundedSender<Option<PodSpec>>> = HashMap::new();
    let mut revision = None;
    loop {
        if let Err(error) = follow(&node, &mut pods, &mut revision).await {
            if error.code() == 410 {
                revision = None;
            } else {
                tracing::debug!(node = node.machine.name, %error, "the watch of pods broke");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// One list, if there is no revision to resume at, and one watch to its end.
async fn follow(
    node: &Arc<Node>,
    pods: &mut HashMap<String, mpsc::UnboundedSender<Option<PodSpec>>>,
    revision: &mut Option<String>,
) -> Result<(), Error> {
    let selector = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", node.machine.name);
    let from = match revision {
        Some(revision) => revision.clone(),
        None => {
            let list = node.client.get(&selector).await?;
            let mut gone: Vec<String> = pods.keys().cloned().collect();
            for item in list["items"].as_array().into_iter().flatten() {
                gone.retain(|uid| item["metadata"]["uid"] != uid.as_str());
                take(node, pods, item, false);
            }
            for uid in gone {
                if let Some(pod) = pods.remove(&uid) {
                    let _ = pod.send(None);
                }
            }
            list["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned()
        }
    };
    *revision = Some(from.clone());
    let mut events =
        node.client.watch(&format!("{selector}&watch=true&allowWatchBookmarks=true&resourceVersion={from}")).await?;
    while let Some(event) = events.next().await? {
        let object = &event["object"];
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "ERROR" {
            return Err(Error::Refused {
                code: object["code"].as_u64().and_then(|c| u16::try_from(c).ok()).unwrap_or(500),
                reason: object["reason"].as_str().unwrap_or_default().to_owned(),
                message: object["message"].as_str().unwrap_or_default().to_owned(),
            });
        }
        if let Some(seen) = object["metadata"]["resourceVersion"].as_str() {
            *revision = Some(seen.to_owned());
        }
        if kind != "BOOKMARK" {
            take(node, pods, object, kind == "DELETED");
        }
    }
    Ok(())
}

/// Hands what the API says of a pod to its task, which is begun when need be.
fn take(
    node: &Arc<Node>,
    pods: &mut HashMap<String, mpsc::UnboundedSender<Option<PodSpec>>>,
    object: &Value,
    gone: bool,
) {
    let pod = match PodSpec::deserialize(object) {
        Ok(pod) => pod,
        Err(error) => {
            tracing::warn!(%error, "a pod that cannot be read");
            return;
        }
    };
    let uid = pod.metadata.uid.clone();
    if gone {
        if let Some(task) = pods.remove(&uid) {
            let _ = task.send(None);
        }
        return;
    }
    let task = pods.entry(uid).or_insert_with(|| {
        let (sender, updates) = mpsc::unbounded_channel();
        tokio::spawn(live(node.clone(), pod.clone(), updates));
        sender
    });
    let _ = task.send(Some(pod));
}

/// The life of one pod on the node, until the API has forgotten it.
async fn live(node: Arc<Node>, pod: PodSpec, mut updates: mpsc::UnboundedReceiver<Option<PodSpec>>) {
    let script = node.behaviour.script(&pod.metadata.annotations);
    let slot = node.take_address();
    let mut task = Task {
        run: PodRun::new(&pod, now_us()),
        reported: Value::Null,
        timers: BTreeMap::new(),
        order: 0,
        retry_at: None,
        script,
        pod,
        node: node.clone(),
    };
    let address = if task.pod.spec.host_network {
        node.machine.address.clone()
    } else {
        pod_address(node.number, slot.unwrap_or(0)).to_string()
    };
    task.run.observe(Observation::Networked { ip: address }, now_us());
    loop {
        task.advance().await;
        tokio::select! {
            update = updates.recv() => match update {
                Some(Some(pod)) => task.pod = pod,
                Some(None) | None => break,
            },
            () = task.next_timer() => {}
        }
        while let Ok(update) = updates.try_recv() {
            match update {
                Some(pod) => task.pod = pod,
                None => return node.give_back(slot),
            }
        }
        task.fire_timers();
    }
    node.give_back(slot);
}

/// A pod's run with the runtime that pretends: what would happen in a container happens on a timer.
struct Task {
    node: Arc<Node>,
    pod: PodSpec,
    run: PodRun,
    script: Script,
    timers: BTreeMap<(Instant, u64), Observation>,
    order: u64,
    reported: Value,
    /// A look that is due without an observation: a pause that ends, a write that failed.
    retry_at: Option<Instant>,
}

impl Task {
    fn after(&mut self, delay: Duration, observation: Observation) {
        self.order += 1;
        self.timers.insert((Instant::now() + delay, self.order), observation);
    }

    async fn next_timer(&self) {
        let first = self.timers.first_key_value().map(|((at, _), _)| *at);
        match (first, self.retry_at) {
            (Some(a), Some(b)) => tokio::time::sleep_until(a.min(b)).await,
            (Some(at), None) | (None, Some(at)) => tokio::time::sleep_until(at).await,
            (None, None) => std::future::pending().await,
        }
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            self.run.observe(entry.remove(), now_us());
        }
    }

    /// Takes a step, carries its actions out, and reports what changed.
    async fn advance(&mut self) {
        self.retry_at = None;
        let step = self.run.step(&self.pod, now_us());
        if let Some(at_us) = step.again_at_us {
            let wait = u64::try_from(at_us - now_us()).unwrap_or(0);
            self.retry_at = Some(Instant::now() + Duration::from_micros(wait));
        }
        let mut remove = false;
        for action in step.actions {
            match action {
                Action::Start { container, .. } => self.start(container),
                Action::Stop { container, grace_s } => self.stop(container, grace_s),
                Action::Remove => remove = true,
            }
        }
        let written = if remove { self.remove().await } else { self.report().await };
        if let Err(error) = written {
            tracing::debug!(pod = self.pod.metadata.name, %error, "cannot write to the API");
            self.run.removal_failed();
            self.retry_at = Some(Instant::now() + RETRY);
        }
    }

    fn start(&mut self, container: String) {
        let init = self.pod.spec.init_containers.iter().find(|c| c.name == container);
        let ends_by_itself = init.is_some_and(|c| c.restart_policy.is_none());
        let Script { start, ready, exit, .. } = self.script;
        self.after(start, Observation::Started { container: container.clone() });
        if ends_by_itself {
            self.after(start, Observation::Exited { container, exit_code: 0 });
            return;
        }
        self.after(start + ready, Observation::Ready { container: container.clone(), ready: true });
        if let Some((runs_for, exit_code)) = exit {
            self.after(start + runs_for, Observation::Exited { container, exit_code });
        }
    }

    fn stop(&mut self, container: String, grace_s: i64) {
        let grace = Duration::from_secs(u64::try_from(grace_s).unwrap_or(0));
        // What was still to come of this container will not.
        let name = container.clone();
        self.timers.retain(|_, observation| match observation {
            Observation::Started { container } | Observation::Ready { container, .. } => *container != name,
            Observation::Exited { container, .. } => *container != name,
            Observation::Networked { .. } => true,
        });
        // One that does not heed SIGTERM in time is killed: 128 + 9.
        let exit_code = if self.script.stop > grace { 137 } else { 0 };
        self.after(self.script.stop.min(grace), Observation::Exited { container, exit_code });
    }

    async fn report(&mut self) -> Result<(), Error> {
        let status = status::report(&self.pod, &self.run, &self.node.machine.address, now_us());
        if status == self.reported || self.pod.finished() {
            return Ok(());
        }
        let metadata = &self.pod.metadata;
        let path = format!("/api/v1/namespaces/{}/pods/{}/status", metadata.namespace, metadata.name);
        let patch = json!({"metadata": {"uid": metadata.uid}, "status": status});
        let _permit = self.node.writes.acquire().await;
        match self.node.client.merge(&path, &patch).await {
            Ok(_) => {
                self.reported = status;
                Ok(())
            }
            // Gone, or another incarnation: the watch will say so.
            Err(error) if matches!(error.code(), 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self) -> Result<(), Error> {
        let metadata = &self.pod.metadata;
        let path = format!("/api/v1/namespaces/{}/pods/{}", metadata.namespace, metadata.name);
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": metadata.uid}});
        let _permit = self.node.writes.acquire().await;
        match self.node.client.delete(&path, &options).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Node {
    /// A free slot among the node's addresses; `None` when all are taken.
    fn take_address(&self) -> Option<u8> {
        let mut addresses = self.addresses.lock();
        let free = (2..=254_u8).find(|slot| !addresses[usize::from(*slot)])?;
        addresses[usize::from(free)] = true;
        Some(free)
    }

    fn give_back(&self, slot: Option<u8>) {
        if let Some(slot) = slot {
            self.addresses.lock()[usize::from(slot)] = false;
        }
    }
}
