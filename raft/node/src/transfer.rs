//! Handing leadership to a chosen member.

use std::time::Instant;

use crate::node::Node;

impl Node {
    /// Hands leadership, when this member has it, to another voter, and waits until that one is seen to lead. False when
    /// it has not taken over before the deadline.
    pub async fn transfer_leadership(&self, to: u64, deadline: Instant) -> bool {
        let mut standing = self.standing.clone();
        let deadline = tokio::time::Instant::from_std(deadline);
        loop {
            if standing.borrow().leader == Some(to) {
                return true;
            }
            if !standing.borrow().leads || self.raft.trigger().transfer_leader(to).await.is_err() {
                return false;
            }
            // A transfer is a letter, not a call: it is sent again when nothing comes of it.
            let attempt = (tokio::time::Instant::now() + self.timing.election_max * 4).min(deadline);
            let seen = standing.wait_for(|standing| standing.leader == Some(to));
            match tokio::time::timeout_at(attempt, seen).await {
                Ok(seen) => return seen.is_ok(),
                Err(_) if tokio::time::Instant::now() >= deadline => return false,
                Err(_) => {}
            }
        }
    }
}
