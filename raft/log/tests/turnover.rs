//! Snapshots are installed while everything else goes on: writes, checkpoints, compactions, readers of history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_log::{Applied, StateStore};
use raft_state::history::History;
use raft_state::{Action, Command, CommandId, Expect, ObjectCommand, Payload, Stamped, State};
use tests_solo::TestKeyring;

const LENGTH: Duration = Duration::from_secs(4);

fn apply(store: &StateStore, state: &mut State, index: &mut u64) {
    *index += 1;
    let id = CommandId { boot: 3, sequence: *index };
    let command = if index.is_multiple_of(50) {
        Command::Compact { revision: index.saturating_sub(20).max(1) }
    } else {
        let key = Bytes::from(format!("/registry/core/configmaps/default/{}", *index % 500));
        let json = format!(r#"{{"metadata":{{"name":"n"}},"data":"{}"}}"#, "v".repeat(2000));
        let action = Action::Put(Payload::Object { json: json.into(), splice_at: 13 });
        Command::Object(ObjectCommand { key, epoch: None, expect: Expect::Any, action })
    };
    let applied = state.apply(&[Stamped { id, low_water: index.saturating_sub(2), command }]);
    store.write(&applied.delta, &Applied { index: *index, log_id: vec![1], membership: vec![2] }).unwrap();
}

#[test]
fn nobody_misses_a_file_when_a_snapshot_takes_the_place_of_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let (store, state, _) = StateStore::open(&folder.path().join("state"), Arc::new(TestKeyring)).unwrap();
    let store = Arc::new(store);
    let told = Arc::new(AtomicBool::new(false));
    let heard = told.clone();
    store.on_unreadable(Box::new(move |error| {
        eprintln!("told: {error}");
        heard.store(true, Ordering::Release);
    }));
    let until = Instant::now() + LENGTH;
    let installs = AtomicUsize::new(0);
    let (path, store, installs, told) = (folder.path(), &store, &installs, &told);
    std::thread::scope(|scope| {
        let over = move || Instant::now() > until || told.load(Ordering::Acquire);
        scope.spawn(move || {
            let (mut state, mut index) = (state, 0);
            let mut number = 0;
            while !over() {
                for _ in 0..3000 {
                    apply(store, &mut state, &mut index);
                }
                number += 1;
                let received = path.join(format!("received-{number}"));
                store.checkpoint(&received).unwrap();
                let examined = StateStore::examine(&received, Arc::new(TestKeyring)).unwrap();
                for _ in 0..1000 {
                    apply(store, &mut state, &mut index);
                }
                let (other, applied) = store.install(&received, examined).unwrap();
                (state, index) = (other, applied.index);
                installs.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(move || {
            for number in 0.. {
                if over() {
                    break;
                }
                let own = path.join(format!("own-{number}"));
                store.checkpoint(&own).unwrap();
                std::fs::remove_dir_all(&own).unwrap();
            }
        });
        scope.spawn(move || {
            while !over() {
                store.compact(1_000_000).unwrap();
                store.flush().unwrap();
            }
        });
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            while !over() {
                runtime.block_on(store.after(0, 10));
            }
        });
    });
    eprintln!("{} snapshots installed", installs.load(Ordering::Relaxed));
    assert!(!told.load(Ordering::Acquire), "a file was missed");
    assert!(installs.load(Ordering::Relaxed) > 0);
}
