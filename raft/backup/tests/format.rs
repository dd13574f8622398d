//! Trireme's format: what goes in comes out, and nothing else does.

#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use raft_backup::{Backup, Contents, Error, Origin, Reader};
use raft_state::port::Store;
use raft_state::txn::{Op, Put};
use raft_state::{Action, Command, Expect, Keyring, ObjectCommand, Payload, Snapshot, State, Txn};
use tests_solo::{Solo, TestKeyring};

const SECRET: &str = "correct-horse-battery-staple";

/// A store with objects, a secret, free keys, leases, deletions.
async fn filled() -> Snapshot {
    let store = Solo::new();
    let object = |name: &str, payload: Payload| {
        let key = Bytes::from(format!("/registry/core/configmaps/default/{name}"));
        Command::Object(ObjectCommand { key, epoch: None, expect: Expect::Any, action: Action::Put(payload) })
    };
    let json = |text: &str| Bytes::from(format!(r#"{{"metadata":{{"name":"{text}"}},"data":"{text}"}}"#));
    let mut commands = vec![Command::OpenEpoch { holder: 1 }, Command::LeaseGrant { id: 7, ttl_s: 60 }];
    for number in 0..1000 {
        let name = format!("c{}", number % 700);
        commands.push(object(&name, Payload::Object { json: json(&"x".repeat(number)), splice_at: 13 }));
    }
    commands.push(object("secret", TestKeyring.seal(b"", &json(SECRET), 13)));
    let put = |key: &'static str, lease| {
        Op::Put(Put { key: key.into(), value: Some("v".into()), lease: Some(lease), want_previous: false })
    };
    commands.push(Command::EtcdTxn(Txn { then: vec![put("b", 0), put("a", 7)], ..Txn::default() }));
    let key = Bytes::from("/registry/core/configmaps/default/c3");
    commands.push(Command::Object(ObjectCommand { key, epoch: None, expect: Expect::Any, action: Action::Delete }));
    store.propose(commands, Instant::now()).await.expect("a store that takes everything");
    store.snapshot()
}

fn file(snapshot: &Snapshot) -> Vec<u8> {
    let origin = Origin { cluster: "c".to_owned(), member: "m1".to_owned(), taken_s: 5, keys: None };
    Backup::new(snapshot.clone(), Arc::new(TestKeyring), origin).flatten().collect()
}

fn read(file: &[u8]) -> Result<Contents, Error> {
    Reader::new(file)?.contents()
}

/// The state that a restore makes of it.
fn state(contents: &Contents) -> State {
    let mut state = State::new(Arc::new(TestKeyring));
    for (place, record) in &contents.versions {
        state.load_record(*place, record).expect("a record that loads");
    }
    for (id, lease) in &contents.leases {
        state.load_lease(*id, *lease);
    }
    state
}

#[tokio::test]
async fn what_goes_in_comes_out() {
    let snapshot = filled().await;
    let file = file(&snapshot);
    let reader = Reader::new(&file[..]).unwrap();
    let header = reader.header();
    assert_eq!((header.cluster.as_str(), header.member.as_str(), header.revision), ("c", "m1", snapshot.revision()));
    let contents = reader.contents().unwrap();
    assert_eq!(contents.scalars.epoch, 1);
    let restored = state(&contents).snapshot();
    let all = |snapshot: &Snapshot| -> Vec<_> {
        snapshot
            .range(b"", None)
            .map(|e| (e.key.clone(), e.value.clone(), e.create_revision, e.mod_revision, e.sub, e.version, e.lease))
            .collect()
    };
    assert_eq!(all(&restored), all(&snapshot));
    assert_eq!(restored.leases(), snapshot.leases());
    assert_eq!(restored.attached(7).collect::<Vec<_>>(), ["a"]);
    assert!(!file.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "a secret in the clear");
    // No nonce is drawn here, so that the same gives the same.
    assert_eq!(self::file(&snapshot), file);
}

#[tokio::test]
async fn an_empty_store_has_a_backup_too() {
    let contents = read(&file(&Solo::new().snapshot())).unwrap();
    assert_eq!((contents.versions.len(), contents.scalars.revision), (0, 1));
}

#[tokio::test]
async fn a_file_that_was_altered_anywhere_is_refused() {
    let file = file(&filled().await);
    assert!(file.len() > 300_000, "several frames: {} bytes", file.len());
    for at in (0..file.len()).step_by(211).chain(0..600).chain(file.len() - 60..file.len()) {
        let mut bad = file.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(read(&bad).is_err(), "byte {at}");
        assert!(read(&file[..at]).is_err(), "cut at {at}");
    }
    let longer = [&file[..], b"x"].concat();
    assert!(matches!(read(&longer), Err(Error::Damaged { at, .. }) if at == file.len() as u64));
}

#[tokio::test]
async fn what_is_no_backup_is_called_so() {
    let check = |file: &[u8], expected: &str| assert_eq!(read(file).unwrap_err().to_string(), expected);
    check(b"", "the backup is cut short: it ends at byte 0");
    check(b"TRIREME BACKUP 2 and more", "the backup has format version '2'; this build reads version 1");
    check(b"something else altogether", "this is no backup: it begins neither as Trireme's nor as etcd's do");
    check(b"TRIREME BACKUP 1", "the backup is cut short: it ends at byte 16");
    check(b"TRIREME BACKUP 1?12345678", "the backup is damaged at byte 16: no frame begins here");
}

/// A field that names another cluster's frame, or frames in another order, are no backup either.
#[tokio::test]
async fn frames_in_another_order_are_refused() {
    let file = file(&filled().await);
    let mut frames = Vec::new();
    let mut at = 16;
    while at < file.len() {
        let length = u32::from_le_bytes(file[at + 1..at + 5].try_into().unwrap()) as usize + 9;
        frames.push(&file[at..at + length]);
        at += length;
    }
    assert!(frames.len() > 4, "{} frames", frames.len());
    frames.swap(2, 3);
    assert!(read(&[&file[..16], &frames.concat()].concat()).is_err());
    frames.swap(2, 3);
    frames.remove(2);
    assert!(read(&[&file[..16], &frames.concat()].concat()).is_err());
}
