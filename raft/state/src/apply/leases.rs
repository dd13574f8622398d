//! Leases at apply.

use bytes::Bytes;

use crate::{Lease, Outcome, Refusal, State};

use super::{Applied, Change};

impl State {
    pub(super) fn grant(&mut self, id: i64, ttl_s: i64, applied: &mut Applied) -> Result<Outcome, Refusal> {
        if id <= 0 || ttl_s <= 0 {
            return Err(Refusal::BadLease);
        }
        if self.live.lease(id).is_some() {
            return Err(Refusal::LeaseExists);
        }
        self.live.scalars.grants += 1;
        let lease = Lease { ttl_s, grant: self.live.scalars.grants };
        self.live.set_lease(id, Some(lease));
        applied.delta.leases.push((id, Some(lease)));
        Ok(Outcome::LeaseGranted { grant: lease.grant, revision: self.live.scalars.revision })
    }

    pub(super) fn revoke(&mut self, id: i64, applied: &mut Applied) -> Result<Outcome, Refusal> {
        self.live.lease(id).ok_or(Refusal::LeaseNotFound)?;
        Ok(self.end_lease(id, applied))
    }

    pub(super) fn expire(
        &mut self,
        id: i64,
        grant: u64,
        counted_by: u64,
        applied: &mut Applied,
    ) -> Result<Outcome, Refusal> {
        let office = self.live.scalars.lease_office;
        let lease = self.live.lease(id).ok_or(Refusal::LeaseNotFound)?;
        if counted_by != office || lease.grant != grant {
            return Err(Refusal::StaleExpiry { office });
        }
        Ok(self.end_lease(id, applied))
    }

    /// Its keys go with it, all at one revision.
    fn end_lease(&mut self, id: i64, applied: &mut Applied) -> Outcome {
        let keys: Vec<Bytes> = self.live.attached(id).cloned().collect();
        let mut change = Change::at(self.live.scalars.revision + 1);
        for key in &keys {
            if let Some(entry) = self.live.get(key).cloned() {
                self.delete(&mut change, entry);
            }
        }
        self.live.set_lease(id, None);
        applied.delta.leases.push((id, None));
        let deleted = change.records.len() as u64;
        Outcome::LeaseEnded { revision: self.commit(change, applied), deleted }
    }
}
