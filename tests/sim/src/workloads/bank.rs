//! Transfers between accounts as transactions of the etcd face, nested ones and refused ones among them; the sum stays.

use std::sync::Arc;

use bytes::Bytes;
use raft_state::port::ReadLevel;
use raft_state::txn::{Compare, Op, Operand, Put, Relation, Txn};
use raft_state::{Command, KeyRange, Outcome};

use super::objects::write;
use crate::client::Cluster;
use crate::rng::Rng;

/// Where accounts are kept.
pub const ACCOUNTS: &str = "bank/";
/// What each begins with.
pub const OPENING: i64 = 100;
/// How many there are.
pub const COUNT: u64 = 5;

/// Begins.
pub fn begin(cluster: &Arc<Cluster>, rng: &Rng, clients: u64) {
    for number in 0..clients {
        cluster.note(|ledger| ledger.busy += 1);
        cluster.spawner.spawn(crate::tasks::WORLD, run(cluster.clone(), rng.fork(number)));
    }
}

fn account(number: u64) -> Bytes {
    Bytes::from(format!("{ACCOUNTS}{number}"))
}

fn put(key: Bytes, balance: i64) -> Op {
    let value = Some(Bytes::from(balance.to_string()));
    Op::Put(Put { key, value, lease: Some(0), want_previous: false })
}

/// Opens all accounts at once, unless they are open.
fn opening() -> Command {
    let absent = Compare { keys: KeyRange::one(account(0)), relation: Relation::Equal, operand: Operand::Version(0) };
    let then = (0..COUNT).map(|number| put(account(number), OPENING)).collect();
    Command::EtcdTxn(Txn { compares: vec![absent], then, otherwise: Vec::new() })
}

async fn run(cluster: Arc<Cluster>, mut rng: Rng) {
    let mut open = false;
    while !cluster.note(|ledger| ledger.closing) {
        let pause_us = rng.between(1, 60_000);
        cluster.clock.sleep(pause_us).await;
        let Some(store) = cluster.any(&mut rng) else { continue };
        if !open {
            let outcomes = write(&cluster, &*store, vec![opening()]).await;
            open = matches!(outcomes.as_deref(), Some([Outcome::Txn { .. }]));
            continue;
        }
        let deadline = cluster.clock.instant(cluster.clock.now_us() + 3_000_000);
        let Ok(snapshot) = store.read(ReadLevel::Linearizable, deadline).await else { continue };
        let (from, to) = (rng.below(COUNT), rng.below(COUNT));
        let balance = |number: u64| {
            let entry = snapshot.get(&account(number))?;
            Some((entry.mod_revision, std::str::from_utf8(&entry.value).ok()?.parse::<i64>().ok()?))
        };
        let (Some(a), Some(b)) = (balance(from), balance(to)) else { continue };
        let sum = i64::try_from(rng.below(30)).unwrap_or(0);
        write(&cluster, &*store, vec![transfer(&mut rng, (from, a), (to, b), sum)]).await;
    }
    cluster.note(|ledger| ledger.busy -= 1);
}

/// Moves a sum, if neither account has changed since it was read. From an account to itself it is refused at apply: a
/// transaction that writes a key twice leaves nothing behind.
fn transfer(rng: &mut Rng, from: (u64, (u64, i64)), to: (u64, (u64, i64)), sum: i64) -> Command {
    let unchanged = |number: u64, revision: u64| Compare {
        keys: KeyRange::one(account(number)),
        relation: Relation::Equal,
        operand: Operand::ModRevision(i64::try_from(revision).unwrap_or(i64::MAX)),
    };
    let (from, (from_revision, from_balance)) = from;
    let (to, (to_revision, to_balance)) = to;
    let compares = vec![unchanged(from, from_revision), unchanged(to, to_revision)];
    let (take, give) = (put(account(from), from_balance - sum), put(account(to), to_balance + sum));
    let then = match rng.permille(300) {
        true => vec![take, Op::Txn(Txn { compares: Vec::new(), then: vec![give], otherwise: Vec::new() })],
        false => vec![take, give],
    };
    Command::EtcdTxn(Txn { compares, then, otherwise: Vec::new() })
}
