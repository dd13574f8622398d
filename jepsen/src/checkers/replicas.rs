//! Replicas: at one revision every master holds the same, byte by byte.

use super::{Checker, Evidence, Verdict};

/// The row.
pub static CHECKER: Checker =
    Checker { name: "replicas", text: "at one revision every master holds the same objects, byte by byte", check };

/// What a master holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Index of the master.
    pub master: usize,
    /// What was asked: a resource.
    pub resource: String,
    /// At this revision.
    pub revision: u64,
    /// Objects.
    pub objects: usize,
    /// A hash over the answer.
    pub hash: u64,
}

fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    for replica in &evidence.replicas {
        let first = evidence.replicas.iter().find(|other| other.resource == replica.resource);
        if let Some(first) = first.filter(|first| (first.hash, first.revision) != (replica.hash, replica.revision)) {
            verdict.find(
                format!(
                    "m{} and m{} hold different {} at revision {}: {} and {} objects",
                    first.master + 1,
                    replica.master + 1,
                    replica.resource,
                    replica.revision,
                    first.objects,
                    replica.objects
                ),
                Vec::new(),
            );
        }
    }
    if !evidence.replicas.is_empty() {
        let objects: usize = evidence.replicas.iter().map(|replica| replica.objects).sum();
        verdict.looked_at = format!("{objects} objects on {} masters", evidence.masters);
    }
    verdict
}
