//! A Deployment has at every revision no more pods than surge allows, and no fewer available ones than it promises.
//!
//! Between two times at which it was as asked for it moves between the sizes asked for since: those bound it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Checker;
use crate::judge::Agreed;
use crate::kube::seen::{self, DEPLOYMENTS, Object, PODS};
use crate::workloads::deployments::SLACK;

/// It must have been as asked for, for so long: then nothing that was decided before is on its way any more.
const SETTLED_US: u64 = 2_500_000;

/// See the module.
#[derive(Default)]
pub struct Deployments {
    deployments: BTreeMap<String, Deployment>,
    /// By key: the application, whether it is to go on, whether it is available.
    pods: BTreeMap<Bytes, (String, bool, bool)>,
}

#[derive(Default)]
struct Deployment {
    smaller: usize,
    larger: usize,
    /// It is as asked for, since then, with this size.
    converged: Option<(u64, usize)>,
    /// It was once: before that nothing is promised about what is available.
    has_converged: bool,
}

impl Checker for Deployments {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        for event in &agreed.applied.events {
            if let Some(object) = seen::object(event, DEPLOYMENTS) {
                self.learn(&object, agreed.at_us);
            } else if let Some(pod) = seen::object(event, PODS) {
                let key = event.entry.key.clone();
                match event.deleted {
                    true => drop(self.pods.remove(&key)),
                    false => {
                        let state = (pod.metadata.labels.app.clone(), pod.is_alive(), pod.is_available());
                        self.pods.insert(key, state);
                    }
                }
                let how = self.out_of_bounds(&pod.metadata.labels.app);
                found.extend(how.map(|how| format!("at revision {}: {how}", event.revision)));
            }
        }
    }
}

impl Deployments {
    fn learn(&mut self, object: &Object, at_us: u64) {
        let counts = self.count(&object.metadata.name);
        let size = object.replicas();
        let deployment = self.deployments.entry(object.metadata.name.clone()).or_insert_with(|| Deployment {
            smaller: size,
            larger: size,
            ..Deployment::default()
        });
        let told = ["replicas", "updatedReplicas", "availableReplicas"].map(|field| object.count(field));
        let observed = object.status["observedGeneration"].as_i64() == Some(object.metadata.generation);
        let is_converged = observed && told == [size; 3] && counts == (size, size);
        if let Some((_, settled)) = deployment.converged.filter(|(since_us, _)| at_us >= since_us + SETTLED_US) {
            // What was asked for before does not count any more.
            (deployment.smaller, deployment.larger) = (settled, settled);
        }
        deployment.smaller = deployment.smaller.min(size);
        deployment.larger = deployment.larger.max(size);
        deployment.has_converged |= is_converged;
        deployment.converged = is_converged.then(|| deployment.converged.unwrap_or((at_us, size)));
    }

    /// Pods of an application that are to go on, and those of them that are available.
    fn count(&self, app: &str) -> (usize, usize) {
        let here = || self.pods.values().filter(|(of, ..)| of == app);
        (here().filter(|(_, alive, _)| *alive).count(), here().filter(|(.., available)| *available).count())
    }

    fn out_of_bounds(&self, app: &str) -> Option<String> {
        let deployment = self.deployments.get(app)?;
        let (alive, available) = self.count(app);
        let (most, least) = (deployment.larger + SLACK, deployment.smaller.saturating_sub(SLACK));
        if alive > most {
            return Some(format!("{app} has {alive} pods, of at most {most}"));
        }
        (deployment.has_converged && available < least)
            .then(|| format!("{app} has {available} available pods, of at least {least}"))
    }
}
