//! A lease never ends by itself before the time that its holder was promised.

use std::collections::BTreeMap;

use raft_state::{Command, Outcome};

use super::Checker;
use crate::judge::{Agreed, Record};
use crate::ledger::Ledger;

/// Clocks run up to a tenth too fast in these worlds: of a hundred parts of its time a lease may live so many.
const SURE: u64 = 90;

/// When leases ran out, microseconds.
#[derive(Default)]
pub struct LeaseTime {
    ended: BTreeMap<i64, u64>,
}

impl Checker for LeaseTime {
    fn agreed(&mut self, agreed: &Agreed<'_>, _found: &mut Vec<String>) {
        for (stamped, outcome) in agreed.commands.iter().zip(&agreed.applied.outcomes) {
            if let (Command::LeaseExpire { id, .. }, Outcome::LeaseEnded { .. }) = (&stamped.command, outcome) {
                self.ended.insert(*id, agreed.at_us);
            }
        }
    }

    fn end(&mut self, _record: &Record, ledger: &Ledger, found: &mut Vec<String>) {
        for promise in &ledger.promises {
            let Some(ended_us) = self.ended.get(&promise.id).filter(|ended_us| **ended_us >= promise.promised_us)
            else {
                continue;
            };
            let lived_us = ended_us - promise.promised_us;
            if lived_us < promise.ttl_us / 100 * SURE {
                let (id, at_us, ttl_us) = (promise.id, promise.promised_us, promise.ttl_us);
                found.push(format!("lease {id} was promised {ttl_us} us at {at_us} us, and ended {lived_us} us later"));
            }
        }
    }
}
