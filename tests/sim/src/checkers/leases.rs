//! A lease ends once, by a revocation or by an expiry that names its grant and was counted in the office in force; its keys
//! go with it at one revision, and no key hangs on a lease that is gone.

use std::collections::{BTreeMap, BTreeSet};

use raft_state::{Command, CommandId, Outcome};

use super::Checker;
use crate::judge::Agreed;

/// Leases by id with their grant, and the office in force.
#[derive(Default)]
pub struct Leases {
    grants: BTreeMap<i64, u64>,
    office: u64,
    seen: BTreeSet<CommandId>,
}

impl Leases {
    fn ends(&mut self, id: i64, named: Option<(u64, u64)>) -> Option<String> {
        let Some(grant) = self.grants.remove(&id) else { return Some(format!("lease {id} ended, and was not there")) };
        let (named, office) = named?;
        let stale = named != grant || office != self.office;
        let now = (grant, self.office);
        stale.then(|| format!("lease {id} ended by grant {named} and office {office}, in force are {now:?}"))
    }
}

impl Checker for Leases {
    fn agreed(&mut self, agreed: &Agreed<'_>, found: &mut Vec<String>) {
        for (stamped, outcome) in agreed.commands.iter().zip(&agreed.applied.outcomes) {
            if !self.seen.insert(stamped.id) {
                continue;
            }
            let wrong = match (&stamped.command, outcome) {
                (Command::LeaseGrant { id, .. }, Outcome::LeaseGranted { grant, .. }) => {
                    let before = self.grants.insert(*id, *grant);
                    before.map(|before| format!("lease {id} was granted while grant {before} of it lives"))
                }
                (Command::LeaseRevoke { id }, Outcome::LeaseEnded { .. }) => self.ends(*id, None),
                (Command::LeaseExpire { id, grant, office }, Outcome::LeaseEnded { .. }) => {
                    self.ends(*id, Some((*grant, *office)))
                }
                (_, Outcome::LeaseOfficeOpened { office }) => {
                    let before = std::mem::replace(&mut self.office, *office);
                    (before >= *office).then(|| format!("lease office {office} opened after {before}"))
                }
                _ => None,
            };
            found.extend(wrong);
        }
        for entry in agreed.snapshot.range(b"leased/", None) {
            if !self.grants.contains_key(&entry.lease) && entry.lease != 0 {
                found.push(format!("{:?} hangs on lease {}, which is gone", entry.key, entry.lease));
            }
        }
    }
}
