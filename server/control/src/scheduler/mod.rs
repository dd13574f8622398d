//! The scheduler: which waiting pod goes to which node.
//!
//! Pure: it learns the cluster from a snapshot and the events after it, and answers with a [`Batch`] to carry out. A
//! pod that it has placed is assumed on its node from then on; [`Scheduler::bound`] says what came of the binding.
//!
//! Invariants:
//! - the requests of the pods that it places on a node never exceed what the node has, assumed ones included;
//! - equal snapshots, events, times and seeds give equal batches;
//! - a pod is in the queue or on a node; only between a placement and its confirmation it is in both.

mod choice;
mod cluster;
mod context;
pub mod filter;
mod message;
mod node;
mod pod;
mod preempt;
mod queue;
mod resources;
pub mod score;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use planted_bugs::planted;
use raft_state::{Entry, Event, Revision, Snapshot};

use choice::{Choice, Choices, Nowhere};
use cluster::Cluster;
use node::Node;
use pod::Pod;
use queue::{Queue, Waiting};

pub use pod::SCHEDULER_NAME;
pub use queue::Depths;

const PODS: &[u8] = b"/registry/core/pods/";
const NODES: &[u8] = b"/registry/core/nodes/";

/// See the module.
#[derive(Debug)]
pub struct Scheduler {
    cluster: Cluster,
    queue: Queue,
    seed: u64,
    /// Pods that were asked to leave, until they do.
    leaving: BTreeSet<String>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Pods to bind.
    pub binds: Vec<Bind>,
    /// Pods that fit nowhere: their `PodScheduled` condition and FailedScheduling event.
    pub failures: Vec<Failure>,
    /// Pods to evict.
    pub victims: Vec<Victim>,
}

/// A pod that goes to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// Revision of the pod's version that was judged.
    pub at: Revision,
    /// The node.
    pub node: String,
}

/// A pod that fits nowhere now. It is tried again when that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// In Kubernetes' words.
    pub message: String,
    /// Whether this is the pod's first failure.
    pub first: bool,
    /// `status.nominatedNodeName`: where victims make room.
    pub nominated: Option<String>,
}

/// A pod that must leave for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Namespace of the victim.
    pub namespace: String,
    /// Name of the victim.
    pub name: String,
    /// UID of the victim.
    pub uid: String,
    /// Where it is.
    pub node: String,
    /// Namespace of the pod that it makes room for.
    pub preemptor_namespace: String,
    /// Name of the pod that it makes room for.
    pub preemptor: String,
    /// UID of the pod that it makes room for.
    pub preemptor_uid: String,
}

impl Scheduler {
    /// Learns all pods and nodes. Ties between nodes are broken by the seed.
    pub fn new(snapshot: &Snapshot, seed: u64) -> Self {
        let (cluster, queue, leaving) = (Cluster::default(), Queue::default(), BTreeSet::new());
        let mut scheduler = Self { cluster, queue, seed, leaving };
        for entry in snapshot.range(NODES, None).chain(snapshot.range(PODS, None)) {
            scheduler.learn(entry);
        }
        scheduler
    }

    /// Learns a change; other keys than those of pods and nodes say nothing.
    pub fn on_event(&mut self, event: &Event) {
        if !event.deleted {
            return self.learn(&event.entry);
        }
        let key = &event.entry.key;
        if let Some(name) = key.strip_prefix(NODES) {
            self.cluster.remove_node(&String::from_utf8_lossy(name));
            // Spreading and affinity have fewer domains to look at.
            self.queue.stir(true);
        } else if key.starts_with(PODS)
            && let Some(pod) = Pod::parse(&event.entry.value)
        {
            self.forget(&pod.uid);
        }
    }

    /// Tries waiting pods, `max` at most. `now_us` by the steady clock, as everywhere here: back-offs take no notice of jumps.
    pub fn schedule(&mut self, now_us: i64, max: usize) -> Batch {
        self.queue.advance(now_us);
        self.cluster.forget_changes();
        let mut choices = Choices::new(self.seed);
        let mut batch = Batch::default();
        for _ in 0..max {
            let Some(waiting) = self.queue.pop() else { break };
            match choices.choose(&waiting.pod, waiting.nominated.as_deref(), &self.cluster) {
                Choice::Node(index) => {
                    let node = self.cluster.slot(index).node.as_ref().map(|node| node.name.clone());
                    self.assume(&waiting, node.unwrap_or_default(), &mut batch);
                }
                Choice::Nowhere(nowhere) => self.fail(&waiting, &nowhere, now_us, &mut batch),
            }
        }
        batch
    }

    /// What came of a binding. When it succeeded, the event of the bound pod confirms what is assumed; when not, the
    /// room is given back and the pod is tried again after a back-off.
    pub fn bound(&mut self, uid: &str, ok: bool, now_us: i64) {
        // The event came first, or the pod is gone.
        if ok || self.queue.get(uid).is_none() {
            return;
        }
        if self.cluster.remove_pod(uid) {
            self.queue.stir(false);
        }
        self.queue.refused(uid, now_us);
    }

    /// When [`Scheduler::schedule`] should run next if nothing else happens, in microseconds since the epoch; a time
    /// in the past means now, `None` that nobody waits.
    pub fn next_wake(&self) -> Option<i64> {
        self.queue.next_wake()
    }

    /// How many pods wait, and for what.
    pub fn depths(&self) -> Depths {
        self.queue.depths()
    }

    fn learn(&mut self, entry: &Entry) {
        if entry.key.starts_with(NODES) {
            if let Some(node) = Node::read(&entry.value)
                && self.cluster.put_node(node)
            {
                self.queue.stir(false);
            }
        } else if entry.key.starts_with(PODS)
            && let Some(pod) = Pod::parse(&entry.value)
        {
            self.learn_pod(Arc::new(pod), entry);
        }
    }

    fn learn_pod(&mut self, pod: Arc<Pod>, entry: &Entry) {
        if planted!(BindingTwice) && pod.occupies() && planted_bugs::one_in(8) {
            self.leave_queue(&pod.uid);
            let unbound = Pod { node_name: String::new(), ..Pod::clone(&pod) };
            self.queue.put(Arc::new(unbound), entry.mod_revision, entry.create_revision);
        } else if pod.occupies() {
            self.leave_queue(&pod.uid);
            let known = self.cluster.placed(&pod.uid).cloned();
            self.cluster.place(&pod, &pod.node_name);
            match known {
                None => self.queue.stir(true),
                // Resized, relabelled, or on its way out.
                Some(known) if known.request != pod.request || known.deleting != pod.deleting => {
                    self.queue.stir(false);
                }
                Some(known) if known.labels != pod.labels => self.queue.stir(true),
                Some(_) => {}
            }
        } else if pod.waits() {
            self.queue.put(pod, entry.mod_revision, entry.create_revision);
        } else {
            self.forget(&pod.uid);
        }
    }

    /// The pod is neither to be placed nor occupies anything any more.
    fn forget(&mut self, uid: &str) {
        self.leave_queue(uid);
        self.leaving.remove(uid);
        if self.cluster.remove_pod(uid) {
            self.queue.stir(false);
        }
    }

    fn leave_queue(&mut self, uid: &str) {
        if let Some(Waiting { nominated: Some(node), .. }) = self.queue.remove(uid) {
            self.cluster.withdraw(uid, &node);
        }
    }

    fn assume(&mut self, waiting: &Waiting, node: String, batch: &mut Batch) {
        let pod = &waiting.pod;
        if let Some(nominated) = &waiting.nominated {
            self.cluster.withdraw(&pod.uid, nominated);
        }
        if !planted!(AssumedPodForgotten) {
            self.cluster.place(pod, &node);
        }
        let (namespace, name, uid) = (pod.namespace.clone(), pod.name.clone(), pod.uid.clone());
        batch.binds.push(Bind { namespace, name, uid, at: waiting.at, node });
    }

    fn fail(&mut self, waiting: &Waiting, nowhere: &Nowhere, now_us: i64, batch: &mut Batch) {
        let pod = &waiting.pod;
        let nodes = self.cluster.len();
        let (message, nominated) = if self.cluster.is_empty() {
            (message::NO_NODES.to_owned(), None)
        } else {
            let (nominated, said) = self.make_room(waiting, nowhere, batch);
            (nowhere.message(nodes) + &said, nominated)
        };
        self.queue.failed(&pod.uid, now_us, nowhere.follows_pods, nominated.clone());
        let (namespace, name, uid) = (pod.namespace.clone(), pod.name.clone(), pod.uid.clone());
        batch.failures.push(Failure { namespace, name, uid, message, first: waiting.attempts == 0, nominated });
    }

    /// Preempts, if that helps: the nominated node, and what the message says of it.
    fn make_room(&mut self, waiting: &Waiting, nowhere: &Nowhere, batch: &mut Batch) -> (Option<String>, String) {
        let pod = &waiting.pod;
        if let Some(node) = &waiting.nominated {
            if self.still_leaving(pod, node) {
                let said = " preemption: not eligible due to a terminating pod on the nominated node.";
                return (waiting.nominated.clone(), said.to_owned());
            }
            self.cluster.withdraw(&pod.uid, node);
        }
        if pod.never_preempts {
            return (None, " preemption: not eligible due to preemptionPolicy=Never.".to_owned());
        }
        let Some(plan) = preempt::plan(pod, &nowhere.crowded, &self.cluster, &self.leaving) else {
            return (None, message::no_victims(self.cluster.len(), nowhere.crowded.len()));
        };
        self.cluster.nominate(pod, plan.node);
        let node = self.cluster.slot(plan.node).node.as_ref().map(|node| node.name.clone()).unwrap_or_default();
        for victim in plan.victims {
            if victim.deleting {
                continue;
            }
            // Asked again when an earlier eviction did not come to pass.
            self.leaving.insert(victim.uid.clone());
            batch.victims.push(Victim {
                namespace: victim.namespace.clone(),
                name: victim.name.clone(),
                uid: victim.uid.clone(),
                node: node.clone(),
                preemptor_namespace: pod.namespace.clone(),
                preemptor: pod.name.clone(),
                preemptor_uid: pod.uid.clone(),
            });
        }
        (Some(node), String::new())
    }

    fn still_leaving(&self, pod: &Pod, node: &str) -> bool {
        self.cluster.find(node).is_some_and(|slot| {
            let mut lower = slot.pods.values().filter(|other| other.priority < pod.priority);
            lower.any(|other| other.deleting)
        })
    }
}

#[cfg(test)]
mod tests;
