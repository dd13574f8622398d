//! No node holds more than it has: neither pods nor what they ask for.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Checker;
use crate::judge::Agreed;
use crate::kube::seen::{self, NODES, PODS, millicores};

/// What nodes have, and what is bound to them.
#[derive(Default)]
pub struct Capacity {
    /// Thousandths of cores, and pods.
    nodes: BTreeMap<String, (u64, u64)>,
    /// The node, and thousandths of cores.
    pods: BTreeMap<Bytes, (String, u64)>,
}

impl Checker for Capacity {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        for event in &agreed.applied.events {
            if let Some(node) = seen::object(event, NODES) {
                let has = &node.status["allocatable"];
                let pods = has["pods"].as_str().and_then(|pods| pods.parse().ok()).unwrap_or(0);
                self.nodes.insert(node.metadata.name.clone(), (millicores(&has["cpu"]), pods));
            }
            let Some(pod) = seen::object(event, PODS) else { continue };
            if event.deleted || pod.is_finished() || pod.node().is_empty() {
                self.pods.remove(&event.entry.key);
                continue;
            }
            let containers = pod.spec["containers"].as_array().into_iter().flatten();
            let cores = containers.map(|c| millicores(&c["resources"]["requests"]["cpu"])).sum();
            self.pods.insert(event.entry.key.clone(), (pod.node().to_owned(), cores));
            found.extend(self.overfilled(pod.node()).map(|how| format!("at revision {}: {how}", event.revision)));
        }
    }
}

impl Capacity {
    fn overfilled(&self, node: &str) -> Option<String> {
        let Some((cores, pods)) = self.nodes.get(node) else { return Some(format!("there is no node {node:?}")) };
        let here = || self.pods.values().filter(|(on, _)| on == node);
        let (asked, count) = (here().map(|(_, cores)| cores).sum::<u64>(), here().count() as u64);
        (asked > *cores || count > *pods).then(|| {
            format!("{node} has {cores}m and {pods} places, bound to it are {count} pods that ask for {asked}m")
        })
    }
}
