//! Clients that write and read a few objects, all of them the same ones: create, put, compare-and-set, delete, several at
//! once; linearizable, fresh enough, and exact reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use raft_state::port::{ReadError, ReadLevel, Store};
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome, Payload, Revision};

use crate::client::Cluster;
use crate::ledger::{Read, Write};
use crate::rng::Rng;

/// How long a call may take.
const LIMIT_US: u64 = 3_000_000;
/// The resources that are written.
const RESOURCES: [&str; 2] = ["configmaps", "secrets"];

/// Begins.
pub fn begin(cluster: &Arc<Cluster>, rng: &Rng, clients: u64) {
    let mut shape = rng.fork(900);
    let keys = shape.between(1, 8);
    let pause_us = *shape.pick(&[1_000, 10_000, 100_000]).unwrap_or(&10_000);
    for number in 0..clients {
        let client = Client {
            cluster: cluster.clone(),
            rng: rng.fork(number),
            number,
            keys,
            pause_us,
            seen: BTreeMap::new(),
            written: 0,
        };
        cluster.note(|ledger| ledger.busy += 1);
        cluster.spawner.spawn(crate::tasks::WORLD, client.run());
    }
}

struct Client {
    cluster: Arc<Cluster>,
    rng: Rng,
    number: u64,
    keys: u64,
    pause_us: u64,
    /// Revisions at which keys were seen.
    seen: BTreeMap<Bytes, Revision>,
    written: u64,
}

/// An object of a client: its value is unique in the world.
pub fn object(text: &str) -> Payload {
    Payload::Object { json: Bytes::from(format!(r#"{{"metadata":{{"name":"x"}},"data":"{text}"}}"#)), splice_at: 13 }
}

/// Has commands carried out, and writes down what came of them.
pub async fn write(cluster: &Cluster, store: &dyn Store, commands: Vec<Command>) -> Option<Vec<Outcome>> {
    let asked_us = cluster.clock.now_us();
    let floor = cluster.note(|ledger| ledger.told);
    let deadline = cluster.clock.instant(asked_us + LIMIT_US);
    let outcomes = store.propose(commands.clone(), deadline).await.ok();
    cluster.note(|ledger| {
        for (number, command) in commands.into_iter().enumerate() {
            let outcome = outcomes.as_ref().and_then(|outcomes| outcomes.get(number).cloned());
            if let Some(
                Outcome::Done { revision }
                | Outcome::EpochOpened { revision, .. }
                | Outcome::Txn { revision, .. }
                | Outcome::LeaseGranted { revision, .. }
                | Outcome::LeaseEnded { revision, .. },
            ) = &outcome
            {
                ledger.tell(*revision);
            }
            ledger.writes.push(Write { asked_us, floor, command, outcome });
        }
    });
    outcomes
}

impl Client {
    async fn run(mut self) {
        while !self.cluster.note(|ledger| ledger.closing) {
            let pause_us = self.rng.between(1, 2 * self.pause_us);
            self.cluster.clock.sleep(pause_us).await;
            let Some(store) = self.cluster.any(&mut self.rng) else { continue };
            if self.rng.permille(650) {
                self.write(&*store).await;
            } else {
                self.read(&*store).await;
            }
        }
        self.cluster.note(|ledger| ledger.busy -= 1);
    }

    fn key(&mut self) -> Bytes {
        let resource = self.rng.pick(&RESOURCES).unwrap_or(&RESOURCES[0]);
        Bytes::from(format!("/registry/core/{resource}/default/k{}", self.rng.below(self.keys)))
    }

    fn command(&mut self) -> Command {
        let key = self.key();
        self.written += 1;
        let put = Action::Put(object(&format!("{}-{}", self.number, self.written)));
        let (expect, action) = match self.rng.below(10) {
            0 | 1 => (Expect::Absent, put),
            2..=4 => (Expect::At(self.seen.get(&key).copied().unwrap_or(1)), put),
            5 => (Expect::At(self.seen.get(&key).copied().unwrap_or(1)), Action::Delete),
            6 => (Expect::Any, Action::Delete),
            _ => (Expect::Any, put),
        };
        Command::Object(ObjectCommand { key, epoch: None, expect, action })
    }

    async fn write(&mut self, store: &dyn Store) {
        let count = if self.rng.permille(200) { self.rng.between(2, 4) } else { 1 };
        let commands: Vec<Command> = (0..count).map(|_| self.command()).collect();
        let Some(outcomes) = write(&self.cluster, store, commands.clone()).await else { return };
        for (command, outcome) in commands.into_iter().zip(outcomes) {
            if let (Command::Object(command), Outcome::Done { revision }) = (command, outcome) {
                self.seen.insert(command.key, revision);
            }
        }
    }

    async fn read(&mut self, store: &dyn Store) {
        let clock = self.cluster.clock.clone();
        let asked_us = clock.now_us();
        let floor = self.cluster.note(|ledger| ledger.told);
        let level = match self.rng.below(10) {
            0..=6 => ReadLevel::Linearizable,
            7 => ReadLevel::AtLeast(floor),
            _ => ReadLevel::Exact(floor.saturating_sub(self.rng.below(20)).max(1)),
        };
        let prefix = match self.rng.permille(500) {
            true => self.key(),
            false => Bytes::from(format!("/registry/core/{}/", self.rng.pick(&RESOURCES).unwrap_or(&RESOURCES[0]))),
        };
        let snapshot = match store.read(level, clock.instant(asked_us + LIMIT_US)).await {
            Ok(snapshot) => snapshot,
            // Whether that is true, watches tell.
            Err(ReadError::Compacted { .. } | ReadError::DeadlineExceeded { .. } | ReadError::Stopping(_)) => return,
        };
        let found: Vec<_> = snapshot
            .range(&prefix, None)
            .map(|entry| (entry.key.clone(), entry.mod_revision, entry.value.clone()))
            .collect();
        for (key, revision, _) in &found {
            self.seen.insert(key.clone(), *revision);
        }
        let revision = snapshot.revision();
        self.cluster.note(|ledger| {
            ledger.tell(revision);
            ledger.reads.push(Read { asked_us, floor, level, revision, prefix, found });
        });
    }
}
