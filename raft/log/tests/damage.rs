//! Bits that flip and files that are cut, anywhere: what comes of it is an error or the truth, never something else.
//!
//! One folder is prepared; each fault meets a copy of it. `TRIREME_DAMAGE_SEED` chooses other faults.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use raft_log::{Applied, Log, Recovered, StateStore};
use raft_state::history::History;
use raft_state::{Action, Command, CommandId, Expect, ObjectCommand, Payload, Stamped, State};
use tests_solo::TestKeyring;

const FAULTS: usize = 1000;
const RECORDS: u64 = 240;
const PURGED: u64 = 20;

/// What the folder held before anything happened to it.
struct Truth {
    records: Vec<(u64, Bytes)>,
    recovered: Recovered,
    /// Of the state, by the index that it was applied up to.
    hashes: BTreeMap<u64, u128>,
    applied: Applied,
    /// As history tells it.
    history: Vec<(u64, u32, Bytes)>,
}

fn command(number: u64) -> Stamped {
    let key = Bytes::from(format!("/registry/core/configmaps/default/{}", number % 37));
    let action = if number % 11 == 10 {
        Action::Delete
    } else {
        let text = "v".repeat(usize::try_from(number).unwrap() * 7 % 900);
        let json = format!(r#"{{"metadata":{{"name":"n"}},"data":"{number}-{text}"}}"#);
        Action::Put(Payload::Object { json: json.into(), splice_at: 13 })
    };
    let command = match number % 40 {
        0 => Command::LeaseGrant { id: i64::try_from(number).unwrap() + 1, ttl_s: 60 },
        1 => Command::OpenEpoch { holder: 1 },
        _ => Command::Object(ObjectCommand { key, epoch: None, expect: Expect::Any, action }),
    };
    Stamped { id: CommandId { boot: 3, sequence: number + 1 }, low_water: number.saturating_sub(5), command }
}

/// Fills the log in two lives, so that its records lie in tables and in the write-ahead log.
fn fill_log(folder: &Path) -> (Vec<(u64, Bytes)>, Recovered) {
    let record =
        |index: u64| (index, Bytes::from(format!("record {index} {}", "r".repeat((index as usize * 13) % 500))));
    for half in [1..=RECORDS / 2, RECORDS / 2 + 1..=RECORDS] {
        let (log, _) = Log::open(folder).unwrap();
        log.save_vote(format!("vote {}", half.start()).as_bytes()).unwrap();
        for index in half {
            let (told, done) = mpsc::channel();
            log.append(&[record(index)], None, Box::new(move |result| told.send(result.is_ok()).unwrap()));
            log.sync();
            assert!(done.recv().unwrap());
        }
        log.purge(PURGED, b"id").unwrap();
    }
    // The last thing that happened is a vote: whoever loses it may vote twice.
    let (log, _) = Log::open(folder).unwrap();
    log.save_vote(b"the last vote").unwrap();
    drop(log);
    let (log, recovered) = Log::open(folder).unwrap();
    (log.read(PURGED + 1, RECORDS + 1, usize::MAX).unwrap(), recovered)
}

/// Fills the state in several flushes, and takes a checkpoint.
fn fill_state(root: &Path, checkpoint: &Path) -> (BTreeMap<u64, u128>, Applied) {
    let (store, mut state, _) = StateStore::open(root, Arc::new(TestKeyring)).unwrap();
    let mut hashes = BTreeMap::from([(0, state.whole())]);
    let mut mark = Applied::default();
    for number in 0..RECORDS {
        let applied = state.apply(&[command(number)]);
        mark = Applied { index: number + 1, log_id: vec![1], membership: vec![2; 40] };
        store.write(&applied.delta, &mark).unwrap();
        hashes.insert(mark.index, state.whole());
        if number % 60 == 59 {
            store.flush().unwrap();
        }
    }
    store.checkpoint(checkpoint).unwrap();
    (hashes, mark)
}

async fn history(store: &StateStore) -> Vec<(u64, u32, Bytes)> {
    let page = store.after(0, usize::MAX).await;
    page.into_iter().map(|stored| (stored.place.revision, stored.place.sub, stored.record.key)).collect()
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// What RocksDB writes for people to read.
fn is_chatter(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.starts_with("LOG") || name.starts_with("OPTIONS") || name == "LOCK" || name == "IDENTITY"
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Flip { byte: u64, bit: u32 },
    Cut { at: u64 },
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A copy in which one file has suffered. Tables are never written to again, so links to them will do.
fn copy(from: &Path, to: &Path, victim: &Path, fault: Fault) {
    let mut all = Vec::new();
    files(from, &mut all);
    for path in all {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        if path == victim {
            let mut bytes = fs::read(&path).unwrap();
            match fault {
                Fault::Flip { byte, bit } => bytes[byte as usize] ^= 1 << bit,
                Fault::Cut { at } => bytes.truncate(at as usize),
            }
            fs::write(&target, bytes).unwrap();
        } else if path.extension().is_some_and(|e| e == "sst") {
            fs::hard_link(&path, &target).unwrap();
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// An error said so, as one that this folder does not recover from.
    Detected,
    /// Everything is there.
    Harmless,
    /// The state is that of an earlier index, from which the log goes on.
    Behind,
}

/// An error that is not known as damage would be tried again for ever.
fn detected(error: &raft_log::Error) -> Verdict {
    assert!(error.is_damage(), "not known as damage: {error}");
    Verdict::Detected
}

fn judge_log(folder: &Path, truth: &Truth) -> Verdict {
    let (log, recovered) = match Log::open(folder) {
        Ok(opened) => opened,
        Err(error) => return detected(&error),
    };
    let records = log.read(PURGED + 1, RECORDS + 1, usize::MAX).expect("a log that opens is whole");
    assert_eq!(records, truth.records, "records");
    assert_eq!(recovered, truth.recovered);
    Verdict::Harmless
}

async fn judge_state(opened: Result<(StateStore, State, Applied), raft_log::Error>, truth: &Truth) -> Verdict {
    let (store, state, applied) = match opened {
        Ok(opened) => opened,
        Err(error) => return detected(&error),
    };
    assert_eq!(Some(&state.whole()), truth.hashes.get(&applied.index), "at index {}", applied.index);
    if applied != truth.applied {
        assert!(applied.index < truth.applied.index);
        // `raft/node/src/rebuild.rs` refuses one that the log does not reach back to.
        return if applied.index < PURGED { Verdict::Detected } else { Verdict::Behind };
    }
    assert_eq!(history(&store).await, truth.history);
    Verdict::Harmless
}

fn install(received: &Path, root: &Path) -> Result<(StateStore, State, Applied), raft_log::Error> {
    StateStore::inspect(received)?;
    let (store, ..) = StateStore::open(root, Arc::new(TestKeyring))?;
    let (state, applied) = store.install(received, StateStore::examine(received, Arc::new(TestKeyring))?)?;
    Ok((store, state, applied))
}

fn prepare(folder: &Path) -> Truth {
    let (records, recovered) = fill_log(&folder.join("log"));
    let (hashes, applied) = fill_state(&folder.join("state"), &folder.join("snapshot"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // A second life, so that what is judged has been opened once before.
    let (store, ..) = StateStore::open(&folder.join("state"), Arc::new(TestKeyring)).unwrap();
    let history = runtime.block_on(history(&store));
    Truth { records, recovered, hashes, applied, history }
}

fn one(folder: &Path, truth: &Truth, victims: &[(PathBuf, u64)], random: &mut Random) -> Verdict {
    // By size, but so that small files have their turn.
    let weight = |bytes: u64| bytes.min(20_000) + 500;
    let mut at = random.below(victims.iter().map(|(_, bytes)| weight(*bytes)).sum());
    let (victim, bytes) = victims
        .iter()
        .find(|(_, bytes)| {
            let weight = weight(*bytes);
            let found = at < weight;
            at = at.saturating_sub(weight);
            found
        })
        .unwrap();
    let fault = match random.below(10) {
        0..7 => Fault::Flip { byte: random.below(*bytes), bit: random.below(8) as u32 },
        _ => Fault::Cut { at: random.below(*bytes) },
    };
    let part = victim.strip_prefix(folder).unwrap().components().next().unwrap().as_os_str().to_owned();
    let copied = tempfile::tempdir().unwrap();
    let from = folder.join(&part);
    let to = copied.path().join(&part);
    let name = format!("{fault:?} of {bytes} bytes in {}", victim.strip_prefix(folder).unwrap().display());
    copy(&from, &to, victim, fault);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match part.to_str().unwrap() {
        "log" => judge_log(&to, truth),
        "state" => runtime.block_on(judge_state(StateStore::open(&to, Arc::new(TestKeyring)), truth)),
        _ => runtime.block_on(judge_state(install(&to, &copied.path().join("root")), truth)),
    }));
    match judged {
        Ok(verdict) => verdict,
        Err(_) => panic!("{name}: something was served that was never written"),
    }
}

/// So many faults: how many came to what.
fn run(faults: usize) {
    let seed = std::env::var("TRIREME_DAMAGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_127);
    let prepared = tempfile::tempdir().unwrap();
    let truth = prepare(prepared.path());
    let mut victims = Vec::new();
    files(prepared.path(), &mut victims);
    victims.retain(|path| !is_chatter(path));
    victims.sort();
    let sized = victims.into_iter().map(|path| (fs::metadata(&path).unwrap().len(), path));
    let victims: Vec<(PathBuf, u64)> =
        sized.filter(|(bytes, _)| *bytes > 0).map(|(bytes, path)| (path, bytes)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut counts = BTreeMap::<&str, usize>::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= faults {
                return counts;
            }
            let mut random = Random(seed + number as u64 * 7919);
            let name = match one(prepared.path(), &truth, &victims, &mut random) {
                Verdict::Detected => "detected",
                Verdict::Harmless => "harmless",
                Verdict::Behind => "behind, and caught up from the log",
            };
            *counts.entry(name).or_default() += 1;
        }
    };
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        let mut all = BTreeMap::<&str, usize>::new();
        for thread in threads {
            for (name, count) in thread.join().unwrap_or_else(|_| panic!("replay with TRIREME_DAMAGE_SEED={seed}")) {
                *all.entry(name).or_default() += count;
            }
        }
        all
    });
    eprintln!("{faults} faults in {} files: {counts:?}", victims.len());
    // A test that breaks nothing shows nothing.
    assert!(counts.get("detected").is_some_and(|detected| *detected > faults / 3), "{counts:?}");
}

#[test]
fn a_thousand_faults_are_found_or_do_no_harm() {
    run(FAULTS);
}
