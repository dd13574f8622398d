//! What all owners of are gone goes too, and nothing else does: neither what nobody owned, nor what still has an owner.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Checker;
use crate::judge::{Agreed, Record};
use crate::kube::seen::{self, CONFIG_MAPS, Meta};
use crate::ledger::Ledger;
use crate::workloads::deployments::{FREE, OWNED};

/// What is there.
#[derive(Default)]
pub struct Garbage {
    there: BTreeMap<Bytes, Meta>,
}

impl Garbage {
    /// Whether somebody who owns it is there.
    fn is_owned(&self, meta: &Meta) -> bool {
        let uids: BTreeSet<&str> = self.there.values().map(|other| other.uid.as_str()).collect();
        meta.owner_references.iter().any(|owner| uids.contains(owner.uid.as_str()))
    }
}

impl Checker for Garbage {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        for event in &agreed.applied.events {
            let Some(object) = seen::object(event, CONFIG_MAPS) else { continue };
            let (meta, revision) = (object.metadata, event.revision);
            if !event.deleted {
                self.there.insert(event.entry.key.clone(), meta);
                continue;
            }
            self.there.remove(&event.entry.key);
            if meta.name.starts_with(OWNED) && self.is_owned(&meta) {
                found.push(format!("{} was collected at revision {revision}, and an owner of it is there", meta.name));
            } else if meta.name.starts_with(FREE) {
                found.push(format!("{} was collected at revision {revision}, and nobody owned it", meta.name));
            }
        }
    }

    fn end(&mut self, _record: &Record, _ledger: &Ledger, found: &mut Vec<String>) {
        for meta in self.there.values().filter(|meta| !meta.owner_references.is_empty()) {
            if !self.is_owned(meta) {
                found.push(format!("{} has no owner any more, and was not collected", meta.name));
            }
        }
    }
}
