//! A pod that is bound stays bound, to the same node, as long as it is there.

use std::collections::BTreeMap;

use super::Checker;
use crate::judge::Agreed;
use crate::kube::seen::{self, PODS};

/// Nodes by the uid of the pod.
#[derive(Default)]
pub struct Bindings {
    bound: BTreeMap<String, String>,
}

impl Checker for Bindings {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        for event in &agreed.applied.events {
            let Some(pod) = seen::object(event, PODS) else { continue };
            let before = self.bound.get(&pod.metadata.uid);
            if let Some(before) = before.filter(|before| *before != pod.node()) {
                let (name, node, revision) = (&pod.metadata.name, pod.node(), event.revision);
                found.push(format!("{name} was bound to {before:?}, and at revision {revision} to {node:?}"));
            }
            if !pod.node().is_empty() {
                self.bound.insert(pod.metadata.uid.clone(), pod.node().to_owned());
            }
        }
    }
}
