//! Revisions never go back, have no gaps, and objects carry their own.

use raft_state::Revision;

use super::Checker;
use crate::judge::Agreed;

/// The last revision.
pub struct Revisions(Revision);

impl Default for Revisions {
    fn default() -> Self {
        Self(1)
    }
}

impl Checker for Revisions {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        for event in &agreed.applied.events {
            let fits = event.revision == self.0 || event.revision == self.0 + 1;
            if !fits || event.revision != event.entry.mod_revision {
                found.push(format!("revision {} follows {}", event.revision, self.0));
            }
            self.0 = event.revision;
            let Some(spliced) = event.entry.spliced else { continue };
            let (from, to) = (spliced.at as usize, (spliced.at + spliced.len) as usize);
            let wanted = format!("\"resourceVersion\":\"{}\",", event.revision);
            if event.entry.value.get(from..to) != Some(wanted.as_bytes()) {
                let shown = String::from_utf8_lossy(&event.entry.value);
                found.push(format!("the object of revision {} reads {shown}", event.revision));
            }
        }
        if agreed.snapshot.revision() != self.0 {
            found.push(format!("the state is at {}, its last event at {}", agreed.snapshot.revision(), self.0));
        }
    }
}
