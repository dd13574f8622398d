//! What is the same for all nodes while one pod is placed: counted once, looked up per node.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::Cluster;
use super::node::Node;
use super::pod::{Pod, PodTerm, Spread};

/// The pod to be placed, and how the pods placed already bear on it.
#[derive(Debug)]
pub struct Context<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// One per constraint of the pod.
    pub spread: Vec<Domains<'a>>,
    /// One per required affinity term: where it has its pods.
    pub affinity: Vec<(&'a PodTerm, BTreeSet<String>)>,
    /// No pod anywhere satisfies the terms, and the pod itself does: it may be the first of its group.
    pub first_of_group: bool,
    /// Places that the pod's own anti-affinity forbids: (topology key, value).
    pub avoided: BTreeSet<(String, String)>,
    /// Places that the anti-affinity of placed pods forbids.
    pub repelled: BTreeSet<(String, String)>,
    /// Weight of the preferred terms by (topology key, value).
    pub preferred: BTreeMap<(String, String), i64>,
}

/// The domains of one spread constraint with their pods.
#[derive(Debug)]
pub struct Domains<'a> {
    /// The constraint.
    pub constraint: &'a Spread,
    /// Matching pods by domain; domains without pods included.
    pub counts: BTreeMap<String, i64>,
    /// 1 when the pod itself matches the selector.
    pub own: i64,
}

impl<'a> Context<'a> {
    /// For a pod that neither looks around nor is repelled by anyone: there is nothing to count.
    pub fn alone(pod: &'a Pod) -> Self {
        Self {
            pod,
            spread: Vec::new(),
            affinity: Vec::new(),
            first_of_group: false,
            avoided: BTreeSet::new(),
            repelled: BTreeSet::new(),
            preferred: BTreeMap::new(),
        }
    }

    /// Counts.
    pub fn new(pod: &'a Pod, cluster: &Cluster) -> Self {
        let spread = pod.spread.iter().map(|constraint| Domains::count(pod, constraint, cluster)).collect();
        let affinity = pod.affinity.iter().map(|term| (term, BTreeSet::new())).collect();
        let mut context = Self { spread, affinity, ..Self::alone(pod) };
        if !(pod.affinity.is_empty() && pod.anti_affinity.is_empty() && pod.preferred_pods.is_empty()) {
            context.look_around(cluster);
        }
        for (other, node) in cluster.repellers() {
            for term in other.anti_affinity.iter().filter(|term| term.selects(pod)) {
                context.repelled.extend(place(term, node));
            }
        }
        context
    }

    fn look_around(&mut self, cluster: &Cluster) {
        let pod = self.pod;
        for (_, node, slot) in cluster.nodes() {
            for other in slot.pods.values() {
                // A pod must satisfy all the terms to count for any of them, as in Kubernetes.
                if !pod.affinity.is_empty() && pod.affinity.iter().all(|term| term.selects(other)) {
                    for (term, places) in &mut self.affinity {
                        places.extend(node.label(&term.topology_key).map(str::to_owned));
                    }
                }
                for term in pod.anti_affinity.iter().filter(|term| term.selects(other)) {
                    self.avoided.extend(place(term, node));
                }
                for (weight, term) in pod.preferred_pods.iter().filter(|(_, term)| term.selects(other)) {
                    if let Some(place) = place(term, node) {
                        *self.preferred.entry(place).or_default() += weight;
                    }
                }
            }
        }
        self.first_of_group = self.affinity.iter().all(|(_, places)| places.is_empty())
            && pod.affinity.iter().all(|term| term.selects(pod));
    }
}

impl<'a> Domains<'a> {
    fn count(pod: &Pod, constraint: &'a Spread, cluster: &Cluster) -> Self {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        let keys: Vec<&str> =
            pod.spread.iter().filter(|s| s.hard == constraint.hard).map(|s| s.topology_key.as_str()).collect();
        for (_, node, slot) in cluster.nodes() {
            let Some(domain) = node.label(&constraint.topology_key) else { continue };
            let admitted = (!constraint.honor_affinity || pod.admits(node))
                && (!constraint.honor_taints || pod.untolerated(node, &["NoSchedule", "NoExecute"]).is_none())
                && keys.iter().all(|key| node.label(key).is_some());
            if !admitted {
                continue;
            }
            let matching = slot.pods.values().filter(|p| p.namespace == pod.namespace && constraint.counts(p));
            let matching = i64::try_from(matching.count()).unwrap_or(i64::MAX);
            *counts.entry(domain.to_owned()).or_default() += matching;
        }
        Self { constraint, counts, own: i64::from(constraint.counts(pod)) }
    }

    /// The least count of any domain; 0 when there are fewer domains than asked for.
    pub fn least(&self) -> i64 {
        let domains = i64::try_from(self.counts.len()).unwrap_or(i64::MAX);
        if domains < self.constraint.min_domains {
            return 0;
        }
        self.counts.values().copied().min().unwrap_or(0)
    }
}

fn place(term: &PodTerm, node: &Node) -> Option<(String, String)> {
    let value = node.label(&term.topology_key)?;
    Some((term.topology_key.clone(), value.to_owned()))
}
