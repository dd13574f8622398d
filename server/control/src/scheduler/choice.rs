//! The best node for a pod, remembered for equal pods.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::{Cluster, Index};
use super::context::Context;
use super::filter;
use super::message;
use super::pod::Pod;
use super::score;

/// What came of looking at all nodes.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This one.
    Node(Index),
    /// None will do.
    Nowhere(Nowhere),
}

/// Why no node will do.
#[derive(Clone, Debug, Default)]
pub struct Nowhere {
    /// How many nodes object for each reason.
    pub reasons: BTreeMap<String, usize>,
    /// Whether a filter objected that looks at other nodes' pods.
    pub follows_pods: bool,
    /// Nodes where fewer pods could help.
    pub crowded: Vec<Index>,
}

/// Classes of equal pods, for one run of the scheduler.
#[derive(Debug, Default)]
pub struct Choices {
    seed: u64,
    classes: BTreeMap<String, Class>,
}

/// The nodes that can take a pod of this class, best last.
#[derive(Debug, Default)]
struct Class {
    ranks: BTreeSet<(i64, u64, Index)>,
    by_node: BTreeMap<Index, (i64, u64)>,
    /// How many of the cluster's changes are reflected.
    seen: usize,
    nowhere: Option<Nowhere>,
}

impl Choices {
    /// With the seed that ties are broken by.
    pub fn new(seed: u64) -> Self {
        Self { seed, classes: BTreeMap::new() }
    }

    /// Picks a node.
    pub fn choose(&mut self, pod: &Pod, nominated: Option<&str>, cluster: &Cluster) -> Choice {
        let repelled = || cluster.repellers().any(|(other, _)| other.anti_affinity.iter().any(|t| t.selects(pod)));
        if pod.looks_around() || nominated.is_some() || repelled() {
            return self.choose_alone(pod, nominated, cluster);
        }
        let context = Context::alone(pod);
        let fresh = !self.classes.contains_key(&pod.class());
        let class = self.classes.entry(pod.class()).or_default();
        if fresh {
            for (index, ..) in cluster.nodes() {
                class.rank(self.seed, &context, index, cluster);
            }
        } else {
            let changed: BTreeSet<Index> = cluster.changes()[class.seen..].iter().copied().collect();
            for index in changed {
                class.rank(self.seed, &context, index, cluster);
                class.nowhere = None;
            }
        }
        class.seen = cluster.changes().len();
        match class.ranks.last() {
            Some((_, _, index)) => Choice::Node(*index),
            None => Choice::Nowhere(class.nowhere.get_or_insert_with(|| Nowhere::explain(&context, cluster)).clone()),
        }
    }

    fn choose_alone(&self, pod: &Pod, nominated: Option<&str>, cluster: &Cluster) -> Choice {
        let context = Context::new(pod, cluster);
        let fits = cluster.nodes().filter(|(_, node, slot)| filter::check(&context, node, slot).is_ok());
        let best = fits.max_by_key(|(_, node, slot)| {
            let preferred = nominated == Some(node.name.as_str());
            (preferred, score::total(&context, node, slot), tie(self.seed, &node.name))
        });
        match best {
            Some((index, ..)) => Choice::Node(index),
            None => Choice::Nowhere(Nowhere::explain(&context, cluster)),
        }
    }
}

impl Class {
    fn rank(&mut self, seed: u64, context: &Context<'_>, index: Index, cluster: &Cluster) {
        if let Some((total, tie)) = self.by_node.remove(&index) {
            self.ranks.remove(&(total, tie, index));
        }
        let slot = cluster.slot(index);
        let Some(node) = &slot.node else { return };
        if filter::check(context, node, slot).is_ok() {
            let rank = (score::total(context, node, slot), tie(seed, &node.name));
            self.by_node.insert(index, rank);
            self.ranks.insert((rank.0, rank.1, index));
        }
    }
}

impl Nowhere {
    fn explain(context: &Context<'_>, cluster: &Cluster) -> Self {
        let mut found = Self::default();
        for (index, node, slot) in cluster.nodes() {
            let Err((filter, rejection)) = filter::check(context, node, slot) else { continue };
            found.follows_pods |= filter.follows_pods;
            if rejection.room_helps {
                found.crowded.push(index);
            }
            for reason in rejection.reasons {
                *found.reasons.entry(reason.into_owned()).or_default() += 1;
            }
        }
        found
    }

    /// As Kubernetes says it, up to what it says of preemption.
    pub fn message(&self, nodes: usize) -> String {
        message::unavailable(nodes, &self.reasons)
    }
}

/// FNV-1a over the seed and the name, well mixed: the order among equals.
fn tie(seed: u64, name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}
