//! Our checker of linearizability against an independent one, that of todc-utils: on a thousand generated histories, good
//! and bad, and on etcd's published ones (from Jepsen's runs of 2014, which todc-utils ships as its test data).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use jepsen::checkers::linearizable::{Action, Found, Interval, Model, ObjectModel, Outcome, search};
use jepsen::world::choices;
use rand::Rng;
use rand::rngs::StdRng;
use todc_utils::specifications::Specification;
use todc_utils::{Action as Event, History, WGLChecker};

const HISTORIES: u64 = 1000;
const LIMIT: Duration = Duration::from_secs(60);
/// The objects of the API, as both checkers know them.
struct Objects;

impl Specification for Objects {
    type State = Option<u64>;
    type Operation = Action;

    fn init() -> Self::State {
        ObjectModel::initial()
    }

    fn apply(action: &Action, state: &Self::State) -> (bool, Self::State) {
        ObjectModel::step(state, action).map_or((false, *state), |after| (true, after))
    }
}

/// Theirs wants an end of every call: one that has none ends last, when it can harm no other.
fn theirs<S: Specification>(calls: &[Interval<S::Operation>]) -> bool
where
    S::Operation: Clone,
{
    let mut moments = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        moments.push((call.begun, false, number));
        moments.push((call.ended.unwrap_or(Duration::MAX), true, number));
    }
    // At the same moment they overlap: calls before responses.
    moments.sort_by_key(|(at, is_response, number)| (*at, *is_response, *number));
    let event = |(_, is_response, number): (Duration, bool, usize)| {
        let action = calls[number].action.clone();
        (number, if is_response { Event::Response(action) } else { Event::Call(action) })
    };
    calls.is_empty()
        || WGLChecker::<S>::is_linearizable(History::from_actions(moments.into_iter().map(event).collect()))
}

fn ours<M: Model>(calls: &[Interval<M::Action>]) -> bool {
    match search::<M>(calls, Instant::now() + LIMIT) {
        Found::Order => true,
        Found::None => false,
        Found::OutOfTime => panic!("ours did not decide within {LIMIT:?}"),
    }
}

/// Calls of a few clients on one object that is in one place: each takes effect at a moment within its interval.
fn generate(random: &mut StdRng) -> Vec<Interval<Action>> {
    let mut state = ObjectModel::initial();
    let mut calls = Vec::new();
    for moment in 1..=random.random_range(8..40u64) {
        // What a client believes: at times something that is long past.
        let believed = if random.random_bool(0.7) { state.unwrap_or(0) } else { random.random_range(0..moment) };
        let kind = random.random_range(0..7);
        let wish = |outcome| match wished(kind, moment, believed) {
            Action::Create(value, _) => Action::Create(value, outcome),
            Action::Write(value, _) => Action::Write(value, outcome),
            Action::Replace { from, to, .. } => Action::Replace { from, to, outcome },
            Action::Delete(from, _) => Action::Delete(from, outcome),
            read @ Action::Read(_) => read,
        };
        let unknown = random.random_bool(0.1);
        let action = match random.random_range(0..10) {
            0..4 => Action::Read(state),
            _ => {
                let outcomes = [Outcome::Done, Outcome::Exists, Outcome::NotFound, Outcome::Conflict];
                let told = outcomes.into_iter().map(&wish).find(|action| ObjectModel::step(&state, action).is_some());
                if unknown { wish(Outcome::Unknown) } else { told.unwrap_or(Action::Read(state)) }
            }
        };
        if let Some(after) = ObjectModel::step(&state, &action) {
            // What is unknown may never have happened.
            let lost = unknown && random.random_bool(0.5);
            state = if lost { state } else { after };
        }
        let at = Duration::from_millis(moment * 10);
        let begun = at.saturating_sub(Duration::from_millis(random.random_range(0..40)));
        let has_end = !matches!(
            action,
            Action::Create(_, Outcome::Unknown)
                | Action::Write(_, Outcome::Unknown)
                | Action::Replace { outcome: Outcome::Unknown, .. }
                | Action::Delete(_, Outcome::Unknown)
        );
        let ended = has_end.then(|| at + Duration::from_millis(random.random_range(1..40)));
        calls.push(Interval { begun, ended, action });
    }
    calls
}

/// A write of some kind.
fn wished(kind: u32, value: u64, believed: u64) -> Action {
    let outcome = Outcome::Done;
    match kind {
        0 => Action::Create(value, outcome),
        1 | 2 => Action::Write(value, outcome),
        3 | 4 => Action::Replace { from: believed, to: value, outcome },
        5 => Action::Delete(Some(believed), outcome),
        _ => Action::Delete(None, outcome),
    }
}

/// Makes one answer another: what a broken object might have said.
fn corrupt(calls: &mut [Interval<Action>], random: &mut StdRng) {
    let place = random.random_range(0..calls.len());
    // What has no end has told nothing that could be wrong.
    if calls[place].ended.is_none() {
        return;
    }
    let action = &mut calls[place].action;
    *action = match *action {
        Action::Read(_) => Action::Read(Some(random.random_range(0..40)).filter(|value| *value > 0)),
        Action::Create(value, _) => Action::Create(value, Outcome::Exists),
        Action::Write(value, _) => Action::Write(value, Outcome::NotFound),
        Action::Replace { from, to, outcome: Outcome::Done } => {
            Action::Replace { from, to, outcome: Outcome::Conflict }
        }
        Action::Replace { from, to, .. } => Action::Replace { from, to, outcome: Outcome::Done },
        Action::Delete(from, _) => Action::Delete(from, Outcome::NotFound),
    };
}

#[test]
fn both_checkers_agree_on_generated_histories() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..HISTORIES {
        let mut random = choices(seed, "cross-check");
        let mut calls = generate(&mut random);
        if seed % 2 == 1 {
            corrupt(&mut calls, &mut random);
            corrupt(&mut calls, &mut random);
        }
        let ours = ours::<ObjectModel>(&calls);
        assert_eq!(ours, theirs::<Objects>(&calls), "history {seed}: {calls:#?}");
        assert!(ours || seed % 2 == 1, "history {seed} was generated from one object: {calls:#?}");
        if ours { good += 1 } else { bad += 1 }
    }
    assert!(good > 300 && bad > 300, "{good} good and {bad} bad histories: too one-sided to show much");
}

/// The register that Jepsen's runs of etcd were about.
#[derive(Clone, Debug)]
struct Register;

#[derive(Clone, Copy, Debug)]
enum Told {
    Read(Option<Option<u64>>),
    Write(u64),
    Cas { from: u64, to: u64, done: Option<bool> },
}

impl Model for Register {
    type State = Option<u64>;
    type Action = Told;

    fn initial() -> Self::State {
        None
    }

    fn step(state: &Self::State, action: &Told) -> Option<Self::State> {
        match *action {
            Told::Read(found) => found.is_none_or(|found| found == *state).then_some(*state),
            Told::Write(value) => Some(Some(value)),
            Told::Cas { from, to, done } => {
                let fits = *state == Some(from);
                done.is_none_or(|done| done == fits).then_some(if fits { Some(to) } else { *state })
            }
        }
    }
}

impl Specification for Register {
    type State = Option<u64>;
    type Operation = Told;

    fn init() -> Self::State {
        <Self as Model>::initial()
    }

    fn apply(told: &Told, state: &Self::State) -> (bool, Self::State) {
        <Self as Model>::step(state, told).map_or((false, *state), |after| (true, after))
    }
}

/// Where todc-utils was unpacked: its tests' data lie beside it.
fn published() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let package = metadata["packages"].as_array().expect("packages").iter().find(|p| p["name"] == "todc-utils");
    let manifest = package.expect("a dependency of this test")["manifest_path"].as_str().expect("a path");
    PathBuf::from(manifest).with_file_name("tests").join("linearizability/etcd")
}

/// A log of Jepsen's: `INFO  jepsen.util - 4  :invoke  :cas  [1 3]`, one event a line, in order.
fn read(log: &str) -> Vec<Interval<Told>> {
    let mut calls: Vec<Interval<Told>> = Vec::new();
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    for (number, line) in log.lines().enumerate() {
        let Some((_, event)) = line.split_once("jepsen.util - ") else { continue };
        let words: Vec<&str> = event.split_whitespace().collect();
        let [process, kind, f, value @ ..] = &words[..] else { continue };
        let Ok(process) = process.parse::<u64>() else { continue };
        let at = Duration::from_millis(number as u64 + 1);
        let numbers: Vec<u64> = value.iter().filter_map(|word| word.trim_matches(['[', ']']).parse().ok()).collect();
        if *kind == ":invoke" {
            let action = match *f {
                ":read" => Told::Read(None),
                ":write" => Told::Write(numbers[0]),
                _ => Told::Cas { from: numbers[0], to: numbers[1], done: None },
            };
            open.insert(process, calls.len());
            calls.push(Interval { begun: at, ended: None, action });
            continue;
        }
        // What timed out may have happened at any later time; a read that did tells nothing.
        if *kind == ":info" || value == [":timed-out"] {
            open.remove(&process);
            continue;
        }
        let Some(call) = open.remove(&process).map(|call| &mut calls[call]) else { continue };
        call.ended = Some(at);
        match &mut call.action {
            Told::Read(found) => *found = Some(numbers.first().copied()),
            Told::Cas { done, .. } => *done = Some(*kind == ":ok"),
            Told::Write(_) => {}
        }
    }
    calls
}

#[test]
fn both_checkers_agree_on_published_histories() {
    let (mut good, mut bad) = (0, 0);
    for entry in std::fs::read_dir(published()).expect("todc-utils ships its test data") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_none_or(|ending| ending != "log") {
            continue;
        }
        let calls = read(&std::fs::read_to_string(&path).expect("a log"));
        assert!(!calls.is_empty() || path.ends_with("etcd_095.log"), "{} holds nothing", path.display());
        let ours = ours::<Register>(&calls);
        assert_eq!(ours, theirs::<Register>(&calls), "{}", path.display());
        if ours { good += 1 } else { bad += 1 }
    }
    // As its authors found; in one run etcd did not start, and its log is empty.
    assert_eq!((good, bad), (24, 79));
}
