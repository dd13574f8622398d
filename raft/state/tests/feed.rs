//! What watchers are promised, on the solo store.

use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_state::port::{ReadError, ReadLevel, Store, WatchError};
use raft_state::{Action, Command, Expect, ObjectCommand, Outcome, Payload};
use tests_solo::Solo;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn put(store: &Solo, key: &str) -> u64 {
    let payload = Payload::Object { json: Bytes::from_static(br#"{"metadata":{"name":"a"}}"#), splice_at: 13 };
    let command = ObjectCommand {
        key: Bytes::copy_from_slice(key.as_bytes()),
        epoch: None,
        expect: Expect::Any,
        action: Action::Put(payload),
    };
    match store.propose(vec![Command::Object(command)], soon()).await.unwrap().remove(0) {
        Outcome::Done { revision } => revision,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_watch_resumes_anywhere_without_a_gap() {
    let store = Solo::new();
    for number in 0..20_000 {
        put(&store, &format!("/registry/core/pods/default/{}", number % 50)).await;
    }
    // The ring has moved on: the first events come from stored versions.
    for start in [1, 2, 3000, 19_000, 20_001] {
        let mut cursor = store.watch(b"/registry/core/pods/", start).unwrap();
        let mut next = start + 1;
        while next <= 20_001 {
            for event in cursor.next(777).await.unwrap().events {
                assert_eq!(event.revision, next);
                assert_eq!(event.previous.is_none(), next <= 51);
                next += 1;
            }
        }
    }
}

#[tokio::test]
async fn what_was_forgotten_is_read_from_stored_versions() {
    let store = Solo::new();
    for round in 0..4 {
        for number in 0..500 {
            put(&store, &format!("/registry/core/pods/default/{}", number % 50)).await;
        }
        store.forget_old();
        let last = 501 + round * 500;
        for start in [1, last / 2, last - 300, last - 100] {
            let mut cursor = store.watch(b"/registry/core/pods/", start).unwrap();
            let mut next = start + 1;
            while next <= last {
                for event in cursor.next(64).await.unwrap().events {
                    assert_eq!(event.revision, next, "from {start} on, in round {round}");
                    next += 1;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_watcher_of_one_resource_is_not_woken_by_another() {
    let store = Solo::new();
    let mut pods = store.watch(b"/registry/core/pods/", 1).unwrap();
    let mut all = store.watch(b"/registry/", 1).unwrap();
    put(&store, "/registry/core/nodes/n1").await;
    assert_eq!(all.next(10).await.unwrap().events.len(), 1);
    // What was skipped is reported as progress, not as an event.
    let batch = pods.next(10).await.unwrap();
    assert_eq!((batch.events.len(), batch.progress), (0, 2));
    let revision = put(&store, "/registry/core/pods/default/a").await;
    let batch = pods.next(10).await.unwrap();
    assert_eq!((batch.events.len(), batch.progress), (1, revision));
}

#[tokio::test]
async fn an_exact_read_is_the_state_of_then() {
    let store = Solo::new();
    let first = put(&store, "/registry/core/pods/default/a").await;
    let second = put(&store, "/registry/core/pods/default/b").await;
    put(&store, "/registry/core/pods/default/a").await;
    let then = store.read(ReadLevel::Exact(second), soon()).await.unwrap();
    let found: Vec<(Bytes, u64)> =
        then.range(b"/registry/core/pods/", None).map(|e| (e.key.clone(), e.mod_revision)).collect();
    assert_eq!(
        found,
        vec![
            (Bytes::from_static(b"/registry/core/pods/default/a"), first),
            (Bytes::from_static(b"/registry/core/pods/default/b"), second)
        ]
    );
    assert_eq!(then.revision(), second);
}

#[tokio::test]
async fn what_is_compacted_is_refused() {
    let store = Solo::new();
    for _ in 0..5 {
        put(&store, "/registry/core/pods/default/a").await;
    }
    store.propose(vec![Command::Compact { revision: 4 }], soon()).await.unwrap();
    let refused = store.watch(b"/registry/core/pods/", 3).err();
    assert_eq!(refused, Some(WatchError::Compacted { requested: 3, floor: 4 }));
    assert!(store.watch(b"/registry/core/pods/", 4).is_ok());
    let refused = store.read(ReadLevel::Exact(3), soon()).await.err();
    assert_eq!(refused, Some(ReadError::Compacted { requested: 3, floor: 4 }));
}
