//! Connections that are there before they are needed. Whoever is elected while packets are late would else spend several round
//! trips on handshakes before its first entry leaves, and its followers as many before they forward to it; by then they would
//! have taken it for dead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_proto::peer as pb;
use raft_state::port::{Member, Standing};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::peer::dial::{Dialer, Lane};
use crate::wire::PROTOCOL;

/// What a leader, a candidate and their followers need at once.
const LANES: [Lane; 3] = [Lane::Control, Lane::Replication, Lane::Forward];

/// A peer that does not answer by then is asked again.
const PATIENCE: Duration = Duration::from_millis(500);

/// Between attempts at a peer that is not there.
const AGAIN: Duration = Duration::from_millis(100);

/// Keeps every voter connected, for as long as this member runs. What breaks is dialled anew at once.
pub(crate) async fn keep(dialer: Arc<Dialer>, mut standing: watch::Receiver<Standing>) {
    let mut known: Vec<Member> = Vec::new();
    let mut held: BTreeMap<u64, JoinSet<()>> = BTreeMap::new();
    while let Ok(now) = standing.wait_for(|standing| standing.members != known).await.map(|now| now.members.clone()) {
        known = now;
        let is_other = |member: &&Member| member.voter && member.id != dialer.letterhead.id;
        held.retain(|id, _| known.iter().filter(is_other).any(|member| member.id == *id));
        for member in known.iter().filter(is_other) {
            held.entry(member.id)
                .or_insert_with(|| LANES.into_iter().map(|lane| hold(dialer.clone(), member.clone(), lane)).collect());
        }
    }
}

async fn hold(dialer: Arc<Dialer>, member: Member, lane: Lane) {
    let lost = dialer.lost(member.id, lane);
    loop {
        let address = dialer.address(member.id, &member.peer_address);
        let greeted = match dialer.client(member.id, &address, lane) {
            Ok(mut client) => {
                let (cluster, from) = (dialer.letterhead.cluster.clone(), dialer.letterhead.id);
                let hello = client.hello(pb::HelloRequest { protocol: PROTOCOL, cluster, from });
                tokio::time::timeout(PATIENCE, hello).await.is_ok_and(|answer| answer.is_ok())
            }
            Err(_) => false,
        };
        if greeted {
            lost.notified().await;
        } else {
            tokio::time::sleep(AGAIN).await;
        }
    }
}
