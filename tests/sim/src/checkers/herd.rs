//! A ReplicaSet takes no pod away that it needs: one that it has adopted counts, and counts once.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Checker;
use crate::judge::Agreed;
use crate::kube::seen::{self, PODS};
use crate::workloads::deployments::{HERD, HERD_SIZE};

/// The pods of the herd, and whether they are to go on.
#[derive(Default)]
pub struct Herd {
    pods: BTreeMap<Bytes, bool>,
}

impl Checker for Herd {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        for event in &agreed.applied.events {
            let Some(pod) = seen::object(event, PODS).filter(|pod| pod.metadata.labels.app == HERD) else { continue };
            let before = self.pods.values().filter(|alive| **alive).count();
            match event.deleted {
                true => drop(self.pods.remove(&event.entry.key)),
                false => drop(self.pods.insert(event.entry.key.clone(), pod.is_alive())),
            }
            let now = self.pods.values().filter(|alive| **alive).count();
            if now < before && now < HERD_SIZE {
                let (name, revision) = (&pod.metadata.name, event.revision);
                found.push(format!("{name} went at revision {revision}, and {now} of {HERD_SIZE} are left"));
            }
        }
    }
}
