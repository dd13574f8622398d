//! Nodes and the pods on them, bound or assumed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::Node;
use super::pod::Pod;
use super::resources::Request;

/// A place in the table of nodes: stable while the node or a pod on it is known.
pub type Index = usize;

/// One node with what is on it.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// `None` while pods are bound to a node that is not known, or no longer.
    pub node: Option<Node>,
    /// The pods on it, by UID.
    pub pods: BTreeMap<String, Arc<Pod>>,
    /// The sum of their requests.
    pub used: Request,
    /// How many pods of each controlling owner.
    pub owners: BTreeMap<String, i64>,
    /// Pods that wait for victims on this node to leave, by UID.
    pub nominated: BTreeMap<String, Arc<Pod>>,
}

/// All nodes.
#[derive(Debug, Default)]
pub struct Cluster {
    slots: Vec<Slot>,
    by_name: BTreeMap<String, Index>,
    free: Vec<Index>,
    places: BTreeMap<String, Index>,
    /// How many placed pods have each priority.
    priorities: BTreeMap<i32, usize>,
    /// Placed pods with required anti-affinity, which bears on every later pod.
    repellers: BTreeMap<String, (Arc<Pod>, Index)>,
    /// Slots in the order of their changes since the last [`Cluster::forget_changes`].
    changes: Vec<Index>,
    known: usize,
}

impl Slot {
    /// Counts a pod in.
    pub fn add(&mut self, pod: &Arc<Pod>) {
        if let Some(old) = self.pods.insert(pod.uid.clone(), pod.clone()) {
            self.discount(&old);
        }
        self.used.exact.add(&pod.request.exact);
        self.used.scored_cpu_milli += pod.request.scored_cpu_milli;
        self.used.scored_memory += pod.request.scored_memory;
        if let Some(owner) = &pod.owner {
            *self.owners.entry(owner.clone()).or_default() += 1;
        }
    }

    /// Counts a pod out.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<Pod>> {
        let pod = self.pods.remove(uid)?;
        self.discount(&pod);
        Some(pod)
    }

    fn discount(&mut self, pod: &Pod) {
        self.used.exact.subtract(&pod.request.exact);
        self.used.scored_cpu_milli -= pod.request.scored_cpu_milli;
        self.used.scored_memory -= pod.request.scored_memory;
        if let Some(owner) = &pod.owner
            && let Some(count) = self.owners.get_mut(owner)
        {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
    }
}

impl Cluster {
    /// How many nodes are known.
    pub fn len(&self) -> usize {
        self.known
    }

    /// Whether no node is known.
    pub fn is_empty(&self) -> bool {
        self.known == 0
    }

    /// The known nodes.
    pub fn nodes(&self) -> impl Iterator<Item = (Index, &Node, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.node.as_ref()?, slot)))
    }

    /// One slot.
    pub fn slot(&self, index: Index) -> &Slot {
        &self.slots[index]
    }

    /// Placed pods with required anti-affinity, and where they are.
    pub fn repellers(&self) -> impl Iterator<Item = (&Pod, &Node)> {
        self.repellers.values().filter_map(|(pod, index)| Some((pod.as_ref(), self.slots[*index].node.as_ref()?)))
    }

    /// Where a pod is counted, and as what.
    pub fn placed(&self, uid: &str) -> Option<&Arc<Pod>> {
        self.slots[*self.places.get(uid)?].pods.get(uid)
    }

    /// The lowest priority of a placed pod.
    pub fn lowest_priority(&self) -> Option<i32> {
        self.priorities.first_key_value().map(|(priority, _)| *priority)
    }

    /// Learns a node's state; whether anything that matters changed.
    pub fn put_node(&mut self, node: Node) -> bool {
        let index = self.index(&node.name);
        let slot = &mut self.slots[index];
        if slot.node.as_ref() == Some(&node) {
            return false;
        }
        self.known += usize::from(slot.node.is_none());
        slot.node = Some(node);
        self.changes.push(index);
        true
    }

    /// Forgets a node; the pods on it stay counted, should it come back.
    pub fn remove_node(&mut self, name: &str) {
        let Some(&index) = self.by_name.get(name) else { return };
        if self.slots[index].node.take().is_some() {
            self.known -= 1;
        }
        self.changes.push(index);
        self.release(name, index);
    }

    /// Counts a pod on a node, wherever it was before.
    pub fn place(&mut self, pod: &Arc<Pod>, node: &str) {
        let index = self.index(node);
        if self.slots[index].pods.get(&pod.uid) == Some(pod) {
            return;
        }
        self.remove_pod(&pod.uid);
        let index = self.index(node);
        self.slots[index].add(pod);
        *self.priorities.entry(pod.priority).or_default() += 1;
        self.places.insert(pod.uid.clone(), index);
        if !pod.anti_affinity.is_empty() {
            self.repellers.insert(pod.uid.clone(), (pod.clone(), index));
        }
        self.changes.push(index);
    }

    /// Counts a pod nowhere; whether it was counted somewhere.
    pub fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(index) = self.places.remove(uid) else { return false };
        self.repellers.remove(uid);
        if let Some(pod) = self.slots[index].remove(uid)
            && let Some(count) = self.priorities.get_mut(&pod.priority)
        {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&pod.priority);
            }
        }
        self.changes.push(index);
        if self.slots[index].node.is_none() {
            let name = self.by_name.iter().find(|(_, i)| **i == index).map(|(name, _)| name.clone());
            self.release(&name.unwrap_or_default(), index);
        }
        true
    }

    /// Keeps room for a pod on a node where its victims are leaving.
    pub fn nominate(&mut self, pod: &Arc<Pod>, index: Index) {
        self.slots[index].nominated.insert(pod.uid.clone(), pod.clone());
        self.changes.push(index);
    }

    /// Keeps no more room for a pod.
    pub fn withdraw(&mut self, uid: &str, node: &str) {
        let Some(&index) = self.by_name.get(node) else { return };
        if self.slots[index].nominated.remove(uid).is_some() {
            self.changes.push(index);
        }
        self.release(node, index);
    }

    /// The slot of a node by name.
    pub fn find(&self, node: &str) -> Option<&Slot> {
        self.by_name.get(node).map(|index| &self.slots[*index])
    }

    /// Slots that changed, in order; a cursor into it says what a reader has seen.
    pub fn changes(&self) -> &[Index] {
        &self.changes
    }

    /// Begins a new list of changes.
    pub fn forget_changes(&mut self) {
        self.changes.clear();
    }

    fn index(&mut self, name: &str) -> Index {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.by_name.insert(name.to_owned(), index);
        index
    }

    fn release(&mut self, name: &str, index: Index) {
        let slot = &self.slots[index];
        if slot.node.is_none()
            && slot.pods.is_empty()
            && slot.nominated.is_empty()
            && self.by_name.remove(name).is_some()
        {
            self.slots[index] = Slot::default();
            self.free.push(index);
        }
    }
}
