//! The applied state: restarts, checkpoints, history, and what may not be read in its files.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use raft_log::{Applied, Error, Examined, Folder, StateStore};
use raft_state::history::History;
use raft_state::txn::{Op, Put};
use raft_state::{Action, Command, CommandId, Expect, Keyring, ObjectCommand, Outcome, Payload, Stamped, State, Txn};
use tests_solo::TestKeyring;

const SECRET: &str = "correct-horse-battery-staple";

struct World {
    store: StateStore,
    state: State,
    index: u64,
    /// Whether a compaction gets as far as deleting.
    clears: bool,
}

impl World {
    fn open(root: &Path) -> (Self, Applied) {
        let (store, state, applied) = StateStore::open(root, Arc::new(TestKeyring)).unwrap();
        (Self { store, state, index: applied.index, clears: true }, applied)
    }

    fn run(&mut self, command: Command) -> Outcome {
        self.index += 1;
        let id = CommandId { boot: 3, sequence: self.index };
        let applied = self.state.apply(&[Stamped { id, low_water: self.index.saturating_sub(2), command }]);
        let mark = Applied { index: self.index, log_id: vec![1, 2], membership: vec![3] };
        self.store.write(&applied.delta, &mark).unwrap();
        if let Some((_, to)) = applied.delta.compacted
            && self.clears
        {
            self.store.compact(to).unwrap();
        }
        applied.outcomes.into_iter().next().unwrap()
    }

    fn delete(&mut self, name: &str) {
        let key = Bytes::from(format!("/registry/core/secrets/default/{name}"));
        let action = Action::Delete;
        self.run(Command::Object(ObjectCommand { key, epoch: None, expect: Expect::Any, action }));
    }

    fn put(&mut self, name: &str, payload: Payload) {
        let key = Bytes::from(format!("/registry/core/secrets/default/{name}"));
        let action = Action::Put(payload);
        self.run(Command::Object(ObjectCommand { key, epoch: None, expect: Expect::Any, action }));
    }

    fn live(&self) -> Vec<(Bytes, Bytes)> {
        self.state.snapshot().range(b"", None).map(|e| (e.key.clone(), e.value.clone())).collect()
    }
}

fn plain(text: &str) -> Payload {
    Payload::Object { json: Bytes::from(format!(r#"{{"metadata":{{"name":"{text}"}}}}"#)), splice_at: 13 }
}

fn fill(world: &mut World) {
    for number in 0..40 {
        world.put(&(number % 7).to_string(), plain(&number.to_string()));
    }
    let json = format!(r#"{{"metadata":{{"name":"s"}},"data":"{SECRET}"}}"#);
    world.put("sealed", TestKeyring.seal(b"", json.as_bytes(), 13));
}

#[test]
fn a_flushed_state_comes_back_whole_and_an_unflushed_one_at_an_earlier_index() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, applied) = World::open(folder.path());
    assert_eq!(applied, Applied::default());
    fill(&mut world);
    world.store.flush().unwrap();
    let (live, hash, index) = (world.live(), world.state.whole(), world.index);
    world.put("later", plain("lost with the process"));
    drop(world);
    let (world, applied) = World::open(folder.path());
    // RocksDB may have flushed more on its own; never a mixture, as the hash at opening has shown.
    assert!(applied.index >= index);
    if applied.index == index {
        assert_eq!((world.live(), world.state.whole()), (live, hash));
    }
    assert_eq!(applied.membership, vec![3]);
}

#[test]
fn a_retry_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = World::open(folder.path());
    fill(&mut world);
    world.store.flush().unwrap();
    drop(world);
    let (mut world, applied) = World::open(folder.path());
    let revision = world.state.snapshot().revision();
    world.index = applied.index - 1; // the last command again
    let retried = world.run(Command::OpenEpoch { holder: 1 });
    assert_eq!(retried, Outcome::Done { revision });
    world.index = 4; // long forgotten
    assert!(matches!(world.run(Command::OpenEpoch { holder: 1 }), Outcome::Refused(_)));
}

/// Outcomes of one entry are one record: those of it that are forgotten stay so, and the others are known.
#[test]
fn an_entry_of_many_commands_is_remembered_and_forgotten_command_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = World::open(folder.path());
    let command = Command::OpenEpoch { holder: 1 };
    let stamp = |boot: u64, sequence: u64, low_water: u64| Stamped {
        id: CommandId { boot, sequence },
        low_water,
        command: command.clone(),
    };
    let apply = |world: &mut World, commands: &[Stamped]| {
        world.index += 1;
        let applied = world.state.apply(commands);
        let mark = Applied { index: world.index, log_id: vec![1], membership: vec![2] };
        world.store.write(&applied.delta, &mark).unwrap();
        applied.outcomes
    };
    // Two boots in turns, the later of them first.
    let first: Vec<Stamped> = (1..=4).flat_map(|n| [stamp(9, n, 0), stamp(4, n, 0)]).collect();
    let outcomes = apply(&mut world, &first);
    apply(&mut world, &[stamp(9, 6, 2), stamp(9, 5, 2), stamp(4, 5, 4)]);
    world.store.flush().unwrap();
    drop(world);
    let (mut world, _) = World::open(folder.path());
    let unknown = Outcome::Refused(raft_state::Refusal::OutcomeUnknown);
    let again = |world: &mut World, boot: u64, sequence: u64| {
        let low_water = if boot == 9 { 2 } else { 4 };
        apply(world, &[stamp(boot, sequence, low_water)]).remove(0)
    };
    let check = |found: Outcome, expected: &Outcome, what: &str| assert_eq!(found, *expected, "{what}");
    check(again(&mut world, 9, 2), &unknown, "below the mark, though its record goes on above");
    check(again(&mut world, 9, 3), &outcomes[4], "above the mark");
    check(again(&mut world, 4, 4), &unknown, "the whole record is below the mark");
    let epoch = world.state.snapshot().epoch();
    again(&mut world, 9, 5);
    again(&mut world, 4, 5);
    assert_eq!(world.state.snapshot().epoch(), epoch, "nothing ran twice");
}

fn examined(received: &Path) -> Examined {
    StateStore::examine(received, Arc::new(TestKeyring)).unwrap()
}

#[test]
fn a_checkpoint_is_installed_in_one_step() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut world, _) = World::open(from.path());
    fill(&mut world);
    let received = to.path().join("received");
    let applied = world.store.checkpoint(&received).unwrap();
    assert_eq!((applied.index, StateStore::inspect(&received).unwrap()), (world.index, applied.clone()));
    let (live, hash) = (world.live(), world.state.whole());
    world.put("later", plain("not in the checkpoint"));

    let root = to.path().join("state");
    let (other, _) = World::open(&root);
    let (state, installed) = other.store.install(&received, examined(&received)).unwrap();
    assert_eq!((installed, state.whole()), (applied.clone(), hash));
    drop(other);
    let (again, mark) = World::open(&root);
    assert_eq!((again.live(), mark), (live, applied));
}

#[tokio::test]
async fn history_reaches_down_to_the_compaction_floor() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = World::open(folder.path());
    fill(&mut world);
    let page = world.store.after(10, 5).await;
    assert_eq!(page.iter().map(|s| s.place.revision).collect::<Vec<_>>(), [11, 12, 13, 14, 15]);
    assert!(page.iter().all(|stored| stored.event(&TestKeyring).is_some()));
    world.run(Command::Compact { revision: 30 });
    let live = world.live();
    assert!(world.store.after(30, 3).await.iter().all(|stored| stored.event(&TestKeyring).is_some()));
    world.store.flush().unwrap();
    drop(world);
    assert_eq!(World::open(folder.path()).0.live(), live);
}

#[test]
fn a_sealed_value_is_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = World::open(folder.path());
    fill(&mut world);
    world.store.flush().unwrap();
    assert!(world.live().iter().any(|(_, value)| String::from_utf8_lossy(value).contains(SECRET)));
    let mut folders = vec![folder.path().to_owned()];
    while let Some(path) = folders.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn a_folder_in_use_names_who_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let held = Folder::lock(folder.path()).unwrap();
    let error = Folder::lock(held.path()).unwrap_err();
    assert!(matches!(&error, Error::InUse { pid, .. } if *pid == std::process::id()), "{error}");
    drop(held);
    assert!(Folder::lock(folder.path()).is_ok());
}

#[tokio::test]
async fn transactions_and_leases_come_back_in_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = World::open(folder.path());
    world.run(Command::LeaseGrant { id: 5, ttl_s: 60 });
    world.run(Command::LeaseGrant { id: 6, ttl_s: 60 });
    world.run(Command::LeaseRevoke { id: 6 });
    let put = |name: &'static str, lease| {
        let (key, value) = (Bytes::from_static(name.as_bytes()), Some(Bytes::from_static(b"v")));
        Op::Put(Put { key, value, lease: Some(lease), want_previous: false })
    };
    let txn = |then| Command::EtcdTxn(Txn { then, ..Txn::default() });
    world.run(txn(vec![put("a", 5), put("b", 0), put("c", 5)]));
    world.run(txn(vec![put("b", 0), put("a", 0)]));
    world.store.flush().unwrap();
    let (live, hash) = (world.live(), world.state.whole());
    drop(world);
    let (mut world, _) = World::open(folder.path());
    let snapshot = world.state.snapshot();
    assert_eq!((world.live(), world.state.whole()), (live, hash));
    assert_eq!(snapshot.leases().keys().copied().collect::<Vec<_>>(), [5]);
    assert_eq!(snapshot.attached(5).collect::<Vec<_>>(), ["c"]);
    // A page holds whole revisions, with the versions before.
    let page = world.store.after(1, 1).await;
    assert_eq!(page.iter().map(|s| (s.place.revision, s.place.sub)).collect::<Vec<_>>(), [(2, 0), (2, 1), (2, 2)]);
    let page = world.store.after(2, 10).await;
    assert!(page.iter().all(|stored| stored.previous.is_some()));
    // The keys of a lease go at one revision, after a restart too.
    assert_eq!(world.run(Command::LeaseRevoke { id: 5 }), Outcome::LeaseEnded { revision: 4, deleted: 1 });
}

/// Found by the simulator (`./x sim 1134` of its first day).
#[test]
fn what_an_interrupted_compaction_left_behind_does_not_come_back_to_life() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = World::open(folder.path());
    world.put("a", plain("first"));
    world.put("a", plain("second"));
    let floor = world.state.snapshot().revision();
    world.clears = false;
    world.run(Command::Compact { revision: floor });
    world.store.flush().unwrap();
    drop(world);

    let (mut world, _) = World::open(folder.path());
    world.delete("a");
    world.put("b", plain("other"));
    let floor = world.state.snapshot().revision();
    world.run(Command::Compact { revision: floor });
    let live = world.live();
    world.store.flush().unwrap();
    drop(world);

    let (world, _) = World::open(folder.path());
    assert_eq!(world.live(), live);
    assert_eq!(live.len(), 1);
}

#[test]
fn a_wrong_name_of_the_state_does_not_begin_another() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = World::open(folder.path());
    fill(&mut world);
    let received = folder.path().join("received");
    world.store.checkpoint(&received).unwrap();
    world.store.install(&received, examined(&received)).unwrap();
    drop(world);
    let current = folder.path().join("current");
    let right = std::fs::read_to_string(&current).unwrap();
    assert!(right.starts_with('1'), "{right}");
    let check = |text: Option<&str>| {
        match text {
            Some(text) => std::fs::write(&current, text).unwrap(),
            None => std::fs::remove_file(&current).unwrap(),
        }
        let opened = StateStore::open(folder.path(), Arc::new(TestKeyring));
        assert!(folder.path().join("state-1").exists(), "{text:?} took the state away");
        assert!(matches!(opened, Err(Error::Damaged { .. })), "{text:?}");
    };
    // A flipped bit makes a 3 of a 1.
    check(Some(&right.replacen('1', "3", 1)));
    check(Some("3 "));
    check(Some(""));
    check(None);
    std::fs::write(&current, right).unwrap();
    assert!(StateStore::open(folder.path(), Arc::new(TestKeyring)).is_ok());
}
