//! Replicas compare their states: the leader asks every voter for the hash of its state at one index, several times a second.
//!
//! Whoever differs from a majority fences itself. Where no hash has a majority, nobody knows the truth, and writes stop. The
//! same round tells the leader whose disk is full, and the others whether writes are refused, so that each can say so at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api_proto::peer as pb;
use futures::future::join_all;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use raft_state::port::{Refusing, Standing, WhyRefused};
use raft_state::txn::{Op, Txn};
use raft_state::{Action, Command};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fenced::Fence;
use crate::level::Levels;
use crate::machine::Applied;
use crate::peer::dial::{Dialer, Lane};
use crate::space::{Room, Space};
use crate::standing::successor_but;
use crate::trail::Trail;
use crate::types::Raft;
use crate::wire;

/// Between rounds: divergence is to be found within a second.
const EVERY: Duration = Duration::from_millis(250);
/// How long a member may take to reach the index in question.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
/// What a leader says of refused writes holds for so long: another leader may think otherwise.
const WORD_HOLDS: Duration = Duration::from_secs(2);

/// The leader's last word about writes.
#[derive(Debug, Default)]
pub(crate) struct Word(Mutex<Option<(Refusing, Instant)>>);

impl Word {
    /// The leader speaks: `None` when writes are welcome.
    pub(crate) fn hear(&self, refusing: Option<Refusing>) {
        *self.0.lock() = refusing.map(|refusing| (refusing, Instant::now()));
    }

    /// Why writes are refused now.
    pub(crate) fn refusing(&self) -> Option<Refusing> {
        self.0.lock().as_ref().filter(|(_, at)| at.elapsed() < WORD_HOLDS).map(|(refusing, _)| refusing.clone())
    }

    /// Why these commands are refused. Those that make room are not.
    pub(crate) fn refuses(&self, commands: &[Command]) -> Option<Refusing> {
        self.refusing().filter(|_| !commands.iter().all(makes_room))
    }
}

/// Whether a command leaves no more behind than it found, or so little that a cluster needs it all the same.
fn makes_room(command: &Command) -> bool {
    match command {
        Command::Object(object) => object.action == Action::Delete,
        Command::EtcdTxn(txn) => puts_nothing(txn),
        Command::Compact { .. } | Command::LeaseRevoke { .. } | Command::LeaseExpire { .. } => true,
        // They bring a leader into office, and members that have room into the cluster.
        Command::OpenEpoch { .. }
        | Command::OpenLeaseOffice { .. }
        | Command::MintMember
        | Command::JoinToken { .. } => true,
        _ => false,
    }
}

fn puts_nothing(txn: &Txn) -> bool {
    txn.then.iter().chain(&txn.otherwise).all(|op| match op {
        Op::Put(_) => false,
        Op::Range(_) | Op::Delete(_) => true,
        Op::Txn(inner) => puts_nothing(inner),
    })
}

/// What a member answers, and is told, in a round.
pub(crate) struct Witness {
    pub(crate) trail: Arc<Trail>,
    pub(crate) space: Arc<Space>,
    pub(crate) word: Arc<Word>,
    pub(crate) applied: watch::Receiver<Applied>,
    pub(crate) fence: Fence,
    pub(crate) levels: Arc<Levels>,
}

impl Witness {
    /// Answers the leader.
    pub(crate) async fn answer(&self, request: &pb::CompareRequest, header: Option<pb::Header>) -> pb::CompareResponse {
        self.word.hear(request.refusing.as_ref().map(wire::refusing_from));
        self.levels.hear(request.level);
        let mut applied = self.applied.clone();
        let reached = applied.wait_for(|applied| applied.index >= request.index);
        // One that lags is compared another time.
        let _ = tokio::time::timeout(PATIENCE / 2, reached).await;
        let hash = self.trail.at(request.index);
        if let (Some(hash), Ok(expected)) = (hash, <[u8; 16]>::try_from(&request.whole_majority[..])) {
            self.obey(request.index, hash, u128::from_be_bytes(expected));
        }
        pb::CompareResponse {
            header,
            whole: hash.map(|hash| hash.to_be_bytes().to_vec().into()).unwrap_or_default(),
            is_low: self.space.room() != Room::Enough,
            level: self.levels.own(),
        }
    }

    /// A majority has another state than this member.
    fn obey(&self, index: u64, hash: u128, majority: u128) {
        if hash != majority {
            let why = format!("its state at index {index} has hash {hash:032x}, that of a majority {majority:032x}");
            self.fence.fence(&why);
        }
    }
}

/// What a round came to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody differs, as far as is known.
    Agree,
    /// A majority of all voters has this hash; these members have not.
    Differ { majority: u128, minority: BTreeSet<u64> },
    /// No hash can have a majority.
    Nobody,
}

/// Judges the hashes of those that answered. Only voters make a majority.
fn judge(hashes: &BTreeMap<u64, u128>, voters: &BTreeSet<u64>) -> Verdict {
    let mut counts = BTreeMap::<u128, usize>::new();
    for (_, hash) in hashes.iter().filter(|(id, _)| voters.contains(id)) {
        *counts.entry(*hash).or_default() += 1;
    }
    let silent = voters.len() - counts.values().sum::<usize>();
    let quorum = voters.len() / 2 + 1;
    let Some((majority, count)) = counts.iter().max_by_key(|(_, count)| **count) else { return Verdict::Agree };
    // Those that did not answer could still make one.
    if count + silent < quorum {
        return Verdict::Nobody;
    }
    let minority: BTreeSet<u64> = hashes.iter().filter(|(_, hash)| *hash != majority).map(|(id, _)| *id).collect();
    match minority.is_empty() || *count < quorum {
        true => Verdict::Agree,
        false => Verdict::Differ { majority: *majority, minority },
    }
}

/// The leader's part.
struct Comparer {
    raft: Raft,
    dialer: Arc<Dialer>,
    standing: watch::Receiver<Standing>,
    witness: Arc<Witness>,
}

/// Compares for ever, while this member leads.
pub(crate) fn start(raft: Raft, dialer: Arc<Dialer>, standing: watch::Receiver<Standing>, witness: Arc<Witness>) {
    tokio::spawn(Comparer { raft, dialer, standing, witness }.run());
}

impl Comparer {
    async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut refusing = None;
        let mut levels = BTreeMap::new();
        loop {
            ticks.tick().await;
            let (id, leads) = {
                let standing = self.standing.borrow();
                (standing.id, standing.leads)
            };
            if !leads {
                refusing = None;
                levels.clear();
                continue;
            }
            let Some((index, own)) = self.witness.trail.latest() else { continue };
            let mut answers = self.ask(index, refusing.as_ref(), None).await;
            self.level(id, &answers, &mut levels);
            let is_low = self.witness.space.room() != Room::Enough;
            answers.insert(id, Heard { hash: Some(own), is_low, level: self.witness.levels.own() });
            refusing = self.conclude(id, index, &answers).await;
            self.witness.word.hear(refusing.clone());
        }
    }

    /// Finds the level of the cluster, by what each other member said last.
    fn level(&self, id: u64, answers: &BTreeMap<u64, Heard>, said: &mut BTreeMap<u64, u32>) {
        said.extend(answers.iter().map(|(id, heard)| (*id, heard.level)));
        let others = self
            .standing
            .borrow()
            .members
            .iter()
            .map(|member| member.id)
            .filter(|other| *other != id)
            .collect::<Vec<_>>();
        let others = others.into_iter().map(|other| (other, said.get(&other).copied())).collect();
        self.witness.levels.conclude(&others);
    }

    /// Acts on what was heard; why writes are to be refused, if they are.
    async fn conclude(&self, id: u64, index: u64, answers: &BTreeMap<u64, Heard>) -> Option<Refusing> {
        let voters: BTreeSet<u64> = self.raft.metrics().borrow_watched().membership_config.voter_ids().collect();
        let hashes = answers.iter().filter_map(|(id, heard)| Some((*id, heard.hash?))).collect();
        match judge(&hashes, &voters) {
            Verdict::Agree => {}
            Verdict::Differ { majority, minority } => {
                tracing::error!(index, ?minority, "the states of these members differ from that of a majority");
                self.ask(index, None, Some(majority)).await;
                if minority.contains(&id) {
                    self.witness.obey(index, answers[&id].hash.unwrap_or_default(), majority);
                }
            }
            Verdict::Nobody => {
                tracing::error!(index, ?hashes, "no state has a majority");
                let why =
                    format!("the members' states differ at index {index}, and none has a majority: restore a backup");
                return Some(Refusing { because: WhyRefused::Diverged, why });
            }
        }
        let low: BTreeSet<u64> =
            answers.iter().filter(|(id, heard)| heard.is_low && voters.contains(id)).map(|(id, _)| *id).collect();
        self.make_room(id, &voters, &low)
    }

    /// A leader without room hands over to one that has some, while those with room are a quorum.
    fn make_room(&self, id: u64, voters: &BTreeSet<u64>, low: &BTreeSet<u64>) -> Option<Refusing> {
        let full = |which: &str| {
            let why = format!("the disk of {which} is nearly full; make room there, or delete and compact");
            Some(Refusing { because: WhyRefused::NoSpace, why })
        };
        if voters.len() - low.len() <= voters.len() / 2 {
            let ids: Vec<String> = low.iter().map(u64::to_string).collect();
            return full(&format!("members {}", ids.join(", ")));
        }
        if !low.contains(&id) {
            return None;
        }
        // Writes go on meanwhile: the reserve is there for that.
        let Some(to) = successor_but(&self.raft.metrics().borrow_watched(), low) else {
            return full(&format!("member {id}, which leads,"));
        };
        tracing::warn!(to, "the disk is nearly full: handing leadership over");
        let raft = self.raft.clone();
        tokio::spawn(async move { raft.trigger().transfer_leader(to).await });
        None
    }

    async fn ask(&self, index: u64, refusing: Option<&Refusing>, majority: Option<u128>) -> BTreeMap<u64, Heard> {
        let peers: Vec<(u64, String)> = {
            let metrics = self.raft.metrics();
            let now = metrics.borrow_watched();
            let members = now.membership_config.membership().nodes();
            members.filter(|(id, _)| **id != now.id).map(|(id, address)| (*id, address.peer.clone())).collect()
        };
        let majority = majority.map(|hash| hash.to_be_bytes().to_vec()).unwrap_or_default();
        let asked = peers.iter().map(|(peer, address)| {
            let request = pb::CompareRequest {
                header: self.dialer.letterhead.to(*peer),
                index,
                refusing: refusing.map(wire::refusing_to),
                whole_majority: majority.clone().into(),
                level: self.witness.levels.cluster(),
            };
            async move {
                let mut client = self.dialer.client(*peer, address, Lane::Control).ok()?;
                let answer = tokio::time::timeout(PATIENCE, client.compare(request)).await.ok()?.ok()?.into_inner();
                self.dialer.letterhead.check(answer.header.as_ref()).ok()?;
                let hash = <[u8; 16]>::try_from(&answer.whole[..]).ok().map(u128::from_be_bytes);
                Some((*peer, Heard { hash, is_low: answer.is_low, level: answer.level }))
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

/// A member's answer.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// `None` when it is not there yet.
    hash: Option<u128>,
    is_low: bool,
    level: u32,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use raft_state::txn::{Delete, Put};
    use raft_state::{KeyRange, RangeEnd};

    use super::*;

    #[test]
    fn a_majority_of_all_voters_decides_and_nobody_else() {
        let check = |hashes: &[(u64, u128)], voters: u64, expected: Verdict| {
            let hashes: BTreeMap<u64, u128> = hashes.iter().copied().collect();
            assert_eq!(judge(&hashes, &(1..=voters).collect()), expected, "{hashes:?} of {voters}");
        };
        let differ =
            |majority, minority: &[u64]| Verdict::Differ { majority, minority: minority.iter().copied().collect() };
        check(&[(1, 7)], 1, Verdict::Agree);
        check(&[(1, 7), (2, 7), (3, 7)], 3, Verdict::Agree);
        check(&[(1, 7), (2, 7), (3, 8)], 3, differ(7, &[3]));
        check(&[(1, 9), (2, 7), (3, 7)], 3, differ(7, &[1]));
        check(&[(1, 7), (2, 8)], 3, Verdict::Agree);
        check(&[(1, 7), (2, 8), (3, 9)], 3, Verdict::Nobody);
        check(&[(1, 7), (2, 7), (3, 8), (4, 8)], 5, Verdict::Agree);
        check(&[(1, 7), (2, 7), (3, 8), (4, 8)], 4, Verdict::Nobody);
        check(&[(1, 7), (2, 7), (3, 7), (4, 8), (5, 9)], 5, differ(7, &[4, 5]));
        check(&[(1, 7), (2, 8)], 2, Verdict::Nobody);
        // A learner counts for nothing, and is found out all the same.
        check(&[(1, 7), (2, 7), (3, 7), (4, 8)], 3, differ(7, &[4]));
        check(&[(1, 7), (2, 8), (4, 8), (5, 8)], 3, Verdict::Agree);
    }

    #[test]
    fn what_makes_room_is_let_through() {
        let word = Word::default();
        let put = |key: &'static [u8]| {
            Op::Put(Put { key: Bytes::from_static(key), value: None, lease: None, want_previous: false })
        };
        let keys = KeyRange { start: Bytes::from_static(b"k"), end: RangeEnd::Same };
        let delete = Op::Delete(Delete { keys, want_previous: false });
        let txn = |then: Vec<Op>| Command::EtcdTxn(Txn { then, ..Txn::default() });
        let check = |command: Command, passes: bool| {
            assert_eq!(word.refuses(std::slice::from_ref(&command)).is_none(), passes, "{command:?}");
        };
        check(Command::LeaseGrant { id: 1, ttl_s: 5 }, true);
        let full = Refusing { because: WhyRefused::NoSpace, why: "full".to_owned() };
        word.hear(Some(full.clone()));
        check(Command::Compact { revision: 3 }, true);
        check(Command::LeaseGrant { id: 1, ttl_s: 5 }, false);
        check(txn(vec![delete.clone()]), true);
        check(txn(vec![delete.clone(), put(b"k")]), false);
        check(txn(vec![Op::Txn(Txn { otherwise: vec![put(b"k")], ..Txn::default() })]), false);
        assert_eq!(word.refuses(&[txn(vec![delete]), txn(vec![put(b"k")])]), Some(full));
        word.hear(None);
        check(Command::LeaseGrant { id: 1, ttl_s: 5 }, true);
    }
}
