//! Whether this member still belongs. Whoever is removed hears nothing of it through the log: the leader stops sending. So a
//! member that hears no leader asks the others. Those that it was started with are asked besides: who was removed before it
//! had got an entry of the log knows of nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raft_state::port::Standing;
use tokio::sync::watch;

use super::admission::hello;
use crate::config::NodeConfig;
use crate::peer::dial::Dialer;

/// Between rounds of questions.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// Another member: its id, 0 where only the address is known.
type Other = (u64, String);

/// Whom a member was started with.
pub(crate) fn started_with(config: &NodeConfig) -> Vec<Other> {
    let first = config.initial_members.iter().map(|member| (member.id, member.peer_address.clone()));
    first.chain(config.peers.iter().map(|address| (0, address.clone()))).collect()
}

/// Whom to ask, each address once: what the cluster says of a place comes before what was said of it at the start.
fn to_be_asked(standing: &Standing, started_with: &[Other], id: u64) -> Vec<Other> {
    let mut others: Vec<Other> = standing.members.iter().map(|m| (m.id, m.peer_address.clone())).collect();
    for other in started_with {
        if others.iter().all(|(_, address)| *address != other.1) {
            others.push(other.clone());
        }
    }
    others.retain(|(other, _)| *other != id);
    others
}

/// Runs until this member stops, or learns that it was removed.
pub(crate) async fn watch(
    dialer: Arc<Dialer>,
    started_with: Vec<Other>,
    standing: watch::Receiver<Standing>,
    removed: Arc<AtomicBool>,
    mut closed: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => return,
            _ = ticks.tick() => {}
        }
        let now = standing.borrow().clone();
        if now.ready {
            continue;
        }
        let letterhead = &dialer.letterhead;
        for (other, address) in to_be_asked(&now, &started_with, letterhead.id) {
            let answer = hello(&dialer, &letterhead.cluster, letterhead.id, other, &address).await;
            if answer.is_ok_and(|answer| answer.removed) {
                tracing::error!(
                    id = letterhead.id,
                    "this member was removed from the cluster; its id is over for good"
                );
                removed.store(true, Ordering::Release);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_state::port::Member;

    use super::*;

    #[test]
    fn everybody_is_asked_once_and_nobody_asks_itself() {
        let at = |id, port: &str| Member { id, peer_address: format!("h:{port}"), ..Member::default() };
        let other = |id, port: &str| (id, format!("h:{port}"));
        let check = |members: Vec<Member>, started_with: &[Other], expected: &[Other], why: &str| {
            let standing = Standing { members, ..Standing::default() };
            assert_eq!(to_be_asked(&standing, started_with, 4), expected, "{why}");
        };
        check(vec![at(1, "1"), at(4, "4")], &[], &[other(1, "1")], "as the cluster says");
        check(vec![], &[other(0, "1"), other(0, "2")], &[other(0, "1"), other(0, "2")], "it has heard of nobody");
        check(vec![at(9, "1")], &[other(1, "1"), other(2, "2")], &[other(9, "1"), other(2, "2")], "one moved in");
        check(vec![at(4, "4")], &[other(0, "4"), other(3, "3")], &[other(3, "3")], "its own address is no other's");
    }
}
