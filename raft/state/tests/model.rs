//! The state machine against a naive model, from random commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use raft_state::{Action, Command, CommandId, Expect, ObjectCommand, Outcome, Payload, Refusal, Stamped, State};
use tests_solo::TestKeyring;

fn json(text: &str) -> Payload {
    Payload::Object { json: Bytes::from(format!(r#"{{"metadata":{{"name":"{text}"}}}}"#)), splice_at: 13 }
}

fn commands() -> impl Strategy<Value = Vec<(u8, u8, bool, u8)>> {
    prop::collection::vec((0..6_u8, 0..4_u8, any::<bool>(), any::<u8>()), 1..200)
}

/// Key, expectation and action of a drawn command; `At` expects a revision of the model's or a wrong one.
fn command(model: &BTreeMap<Bytes, u64>, (key, expect, delete, seed): (u8, u8, bool, u8)) -> ObjectCommand {
    let key = Bytes::from(format!("/registry/core/pods/default/{key}"));
    let expect = match expect {
        0 => Expect::Absent,
        1 => Expect::At(model.get(&key).copied().unwrap_or(1)),
        2 => Expect::At(u64::from(seed)),
        _ => Expect::Any,
    };
    let action = if delete { Action::Delete } else { Action::Put(json(&seed.to_string())) };
    ObjectCommand { key, epoch: None, expect, action }
}

/// What should come of it, by the naive model.
fn expected(model: &mut BTreeMap<Bytes, u64>, revision: &mut u64, command: &ObjectCommand) -> Outcome {
    let live = model.get(&command.key).copied();
    let refusal = match (command.expect, live, &command.action) {
        (Expect::Absent, Some(mod_revision), _) => Some(Refusal::Exists { mod_revision }),
        (Expect::At(_), None, _) | (_, None, Action::Delete) => Some(Refusal::NotFound),
        (Expect::At(at), Some(mod_revision), _) if at != mod_revision => Some(Refusal::Conflict { mod_revision }),
        _ => None,
    };
    if let Some(refusal) = refusal {
        return Outcome::Refused(refusal);
    }
    *revision += 1;
    match command.action {
        Action::Put(_) => model.insert(command.key.clone(), *revision),
        Action::Delete => model.remove(&command.key),
    };
    Outcome::Done { revision: *revision }
}

proptest! {
    #[test]
    fn outcomes_revisions_and_live_entries_are_the_models(draws in commands()) {
        let mut state = State::new(Arc::new(TestKeyring));
        let mut replica = State::new(Arc::new(TestKeyring));
        let (mut model, mut revision) = (BTreeMap::new(), 1);
        let mut last_event = 1;
        for (number, draw) in draws.into_iter().enumerate() {
            let command = command(&model, draw);
            let wanted = expected(&mut model, &mut revision, &command);
            let stamped = Stamped {
                id: CommandId { boot: 1, sequence: number as u64 + 1 },
                low_water: (number as u64).saturating_sub(3),
                command: Command::Object(command),
            };
            let applied = state.apply(std::slice::from_ref(&stamped));
            prop_assert_eq!(&applied.outcomes, &vec![wanted.clone()]);
            for event in &applied.events {
                prop_assert_eq!(event.revision, last_event + 1);
                last_event = event.revision;
            }
            // A retry changes nothing and has the same outcome.
            let again = state.apply(std::slice::from_ref(&stamped));
            prop_assert_eq!(again.outcomes, vec![wanted]);
            prop_assert!(again.events.is_empty());
            replica.apply(std::slice::from_ref(&stamped));
            prop_assert_eq!(state.whole(), replica.whole());
        }
        let snapshot = state.snapshot();
        let live: BTreeMap<Bytes, u64> =
            snapshot.range(b"/registry/core/pods/", None).map(|e| (e.key.clone(), e.mod_revision)).collect();
        prop_assert_eq!(snapshot.count(b"/registry/core/pods/"), live.len());
        prop_assert_eq!(live, model);
        for entry in snapshot.range(b"", None) {
            let wanted = format!(r#"{{"metadata":{{"resourceVersion":"{}","#, entry.mod_revision);
            prop_assert!(entry.value.starts_with(wanted.as_bytes()));
        }
    }
}

#[test]
fn a_stale_epoch_changes_nothing() {
    let mut state = State::new(Arc::new(TestKeyring));
    let mut sequence = 0;
    let mut apply = |command| {
        sequence += 1;
        state.apply(&[Stamped { id: CommandId { boot: 1, sequence }, low_water: 0, command }]).outcomes.remove(0)
    };
    let put = |epoch| {
        Command::Object(ObjectCommand {
            key: Bytes::from_static(b"/registry/core/pods/default/a"),
            epoch: Some(epoch),
            expect: Expect::Any,
            action: Action::Put(json("a")),
        })
    };
    assert_eq!(apply(Command::OpenEpoch { holder: 1 }), Outcome::EpochOpened { epoch: 1, revision: 1 });
    assert_eq!(apply(put(1)), Outcome::Done { revision: 2 });
    assert_eq!(apply(Command::OpenEpoch { holder: 2 }), Outcome::EpochOpened { epoch: 2, revision: 2 });
    assert_eq!(apply(put(1)), Outcome::Refused(Refusal::StaleEpoch { current: 2 }));
    assert_eq!(apply(put(2)), Outcome::Done { revision: 3 });
}

#[test]
fn compaction_only_rises_and_stays_below_the_present() {
    let mut state = State::new(Arc::new(TestKeyring));
    let mut sequence = 0;
    let mut compact = |revision| {
        sequence += 1;
        let command = Command::Compact { revision };
        state.apply(&[Stamped { id: CommandId { boot: 1, sequence }, low_water: 0, command }]).outcomes.remove(0)
    };
    assert_eq!(compact(1), Outcome::Compacted { revision: 1 });
    for requested in [1, 2] {
        let refused = Refusal::BadCompaction { requested, floor: 1, current: 1 };
        assert_eq!(compact(requested), Outcome::Refused(refused));
    }
}
