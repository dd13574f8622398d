//! Transactions and leases of the state machine: what they change, what they answer, what they refuse.

use std::sync::Arc;

use bytes::Bytes;
use raft_state::txn::{Answer, Answers, Compare, Delete, Found, Op, Operand, Put, RangeRead, Relation};
use raft_state::{Applied, Command, CommandId, KeyRange, Outcome, Refusal, Stamped, State, Txn};
use tests_solo::TestKeyring;

struct World {
    state: State,
    sequence: u64,
}

impl World {
    fn new() -> Self {
        Self { state: State::new(Arc::new(TestKeyring)), sequence: 0 }
    }

    fn apply(&mut self, command: Command) -> Applied {
        self.sequence += 1;
        let id = CommandId { boot: 1, sequence: self.sequence };
        self.state.apply(&[Stamped { id, low_water: 0, command }])
    }

    fn run(&mut self, command: Command) -> Outcome {
        self.apply(command).outcomes.remove(0)
    }

    fn txn(&mut self, txn: Txn) -> Result<(u64, bool, Vec<Answer>), Refusal> {
        match self.run(Command::EtcdTxn(txn)) {
            Outcome::Txn { revision, succeeded, answers: Answers(Some(answers)) } => {
                Ok((revision, succeeded, answers.to_vec()))
            }
            Outcome::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn live(&self) -> Vec<(String, String, i64)> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        self.state.snapshot().range(b"", None).map(|e| (text(&e.key), text(&e.value), e.lease)).collect()
    }
}

fn key(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn put(name: &'static str, value: &'static str) -> Op {
    Op::Put(Put { key: key(name), value: Some(key(value)), lease: Some(0), want_previous: true })
}

fn hang(name: &'static str, lease: i64) -> Op {
    Op::Put(Put { key: key(name), value: Some(key("v")), lease: Some(lease), want_previous: false })
}

fn delete(start: &'static str, end: &'static str) -> Op {
    Op::Delete(Delete { keys: KeyRange::etcd(key(start), key(end)), want_previous: true })
}

fn range(start: &'static str, end: &'static str) -> RangeRead {
    RangeRead::of(KeyRange::etcd(key(start), key(end)))
}

fn all(ops: Vec<Op>) -> Txn {
    Txn { then: ops, ..Txn::default() }
}

fn found(answer: &Answer) -> Vec<String> {
    let Answer::Found(Found { entries, .. }) = answer else { panic!("{answer:?}") };
    entries
        .iter()
        .map(|e| format!("{}={}", String::from_utf8_lossy(&e.key), String::from_utf8_lossy(&e.value)))
        .collect()
}

#[test]
fn a_transaction_takes_one_revision_and_reads_its_own_writes() {
    let mut world = World::new();
    let (revision, succeeded, answers) =
        world.txn(all(vec![put("a", "1"), put("b", "2"), Op::Range(range("a", "z")), put("c", "3")])).unwrap();
    assert_eq!((revision, succeeded), (2, true));
    assert_eq!(found(&answers[2]), ["a=1", "b=2"]);
    let applied = world.apply(Command::EtcdTxn(all(vec![delete("a", "c"), put("d", "4")])));
    let places: Vec<_> = applied.delta.records.iter().map(|(place, record)| (*place, record.key.clone())).collect();
    assert_eq!(
        applied.events.iter().map(|e| (e.revision, e.deleted)).collect::<Vec<_>>(),
        [(3, true), (3, true), (3, false)]
    );
    assert_eq!(
        places.iter().map(|(place, _)| (place.revision, place.sub)).collect::<Vec<_>>(),
        [(3, 0), (3, 1), (3, 2)]
    );
    assert_eq!(world.live().iter().map(|(k, ..)| k.as_str()).collect::<Vec<_>>(), ["c", "d"]);
}

#[test]
fn one_that_changes_nothing_takes_no_revision() {
    let mut world = World::new();
    let (revision, ..) = world.txn(all(vec![delete("a", "z"), Op::Range(range("a", ""))])).unwrap();
    assert_eq!(revision, 1);
}

#[test]
fn a_refused_transaction_changes_nothing_at_all() {
    let check = |ops: Vec<Op>, expected: Refusal| {
        let mut world = World::new();
        world.run(Command::LeaseGrant { id: 7, ttl_s: 10 });
        world.txn(all(vec![hang("kept", 7), put("x", "1")])).unwrap();
        let (live, hash) = (world.live(), world.state.snapshot().hash());
        assert_eq!(world.txn(all(ops)).map(|_| ()), Err(expected));
        assert_eq!((world.live(), world.state.snapshot().hash()), (live, hash));
        assert_eq!(world.state.snapshot().revision(), 2);
        assert_eq!(world.state.snapshot().attached(7).collect::<Vec<_>>(), [&key("kept")]);
    };
    let unknown = Op::Put(Put { key: key("new"), value: None, lease: Some(0), want_previous: false });
    check(vec![put("x", "2"), unknown], Refusal::NotFound);
    check(vec![delete("a", "z"), put("new", "1"), hang("y", 8)], Refusal::LeaseNotFound);
    check(vec![put("x", "2"), put("x", "3")], Refusal::DuplicateKey);
    check(vec![put("y", "2"), delete("y", "")], Refusal::DuplicateKey);
    let future = RangeRead { revision: Some(9), ..range("x", "") };
    check(vec![put("x", "2"), Op::Range(future)], Refusal::FutureRevision { requested: 9, current: 2 });
}

#[test]
fn compares_are_etcds() {
    let check = |keys: KeyRange, relation: Relation, operand: Operand, expected: bool| {
        let mut world = World::new();
        world.txn(all(vec![put("a", "m")])).unwrap();
        world.txn(all(vec![put("b", "n")])).unwrap();
        let compares = vec![Compare { keys: keys.clone(), relation, operand: operand.clone() }];
        let (_, succeeded, _) = world.txn(Txn { compares, ..Txn::default() }).unwrap();
        assert_eq!(succeeded, expected, "{keys:?} {relation:?} {operand:?}");
    };
    use Operand::*;
    use Relation::*;
    let one = |name| KeyRange::one(key(name));
    let both = || KeyRange::etcd(key("a"), key("c"));
    check(one("a"), Equal, Value(key("m")), true);
    check(one("a"), Greater, Value(key("l")), true);
    check(one("a"), Less, Value(key("m")), false);
    check(one("nil"), NotEqual, Value(key("m")), false);
    check(one("nil"), Equal, Version(0), true);
    check(one("nil"), Equal, ModRevision(0), true);
    check(one("a"), Equal, CreateRevision(2), true);
    check(one("b"), Greater, ModRevision(2), true);
    check(one("a"), Equal, Lease(0), true);
    check(both(), Greater, Value(key("l")), true);
    check(both(), Equal, Value(key("m")), false);
    check(both(), Less, ModRevision(4), true);
}

#[test]
fn nested_compares_see_the_state_before_the_whole() {
    let mut world = World::new();
    let compares =
        vec![Compare { keys: KeyRange::one(key("a")), relation: Relation::Equal, operand: Operand::Version(0) }];
    let inner = Txn { compares, then: vec![put("in", "1")], otherwise: vec![] };
    let (.., answers) = world.txn(all(vec![put("a", "1"), Op::Txn(inner)])).unwrap();
    assert!(matches!(&answers[1], Answer::Txn(verdict) if verdict.succeeded));
}

#[test]
fn the_end_of_a_lease_deletes_its_keys_at_one_revision() {
    let mut world = World::new();
    assert_eq!(world.run(Command::LeaseGrant { id: 7, ttl_s: 10 }), Outcome::LeaseGranted { grant: 1, revision: 1 });
    assert_eq!(world.run(Command::LeaseGrant { id: 7, ttl_s: 10 }), Outcome::Refused(Refusal::LeaseExists));
    world.txn(all(vec![hang("a", 7), hang("b", 7), put("free", "1")])).unwrap();
    world.txn(all(vec![put("b", "freed")])).unwrap();
    let ended = world.apply(Command::LeaseRevoke { id: 7 });
    assert_eq!(ended.outcomes, [Outcome::LeaseEnded { revision: 4, deleted: 1 }]);
    assert_eq!(world.live().iter().map(|(k, ..)| k.as_str()).collect::<Vec<_>>(), ["b", "free"]);
    assert_eq!(world.run(Command::LeaseRevoke { id: 7 }), Outcome::Refused(Refusal::LeaseNotFound));
}

#[test]
fn an_expiry_of_another_grant_or_an_earlier_office_is_void() {
    let mut world = World::new();
    let expire = |grant, office| Command::LeaseExpire { id: 7, grant, office };
    world.run(Command::LeaseGrant { id: 7, ttl_s: 10 });
    assert_eq!(world.run(Command::OpenLeaseOffice { holder: 1 }), Outcome::LeaseOfficeOpened { office: 1 });
    assert_eq!(world.run(Command::OpenLeaseOffice { holder: 2 }), Outcome::LeaseOfficeOpened { office: 2 });
    assert_eq!(world.run(expire(1, 1)), Outcome::Refused(Refusal::StaleExpiry { office: 2 }));
    world.run(Command::LeaseRevoke { id: 7 });
    world.run(Command::LeaseGrant { id: 7, ttl_s: 10 });
    assert_eq!(world.run(expire(1, 2)), Outcome::Refused(Refusal::StaleExpiry { office: 2 }));
    assert_eq!(world.run(expire(2, 2)), Outcome::LeaseEnded { revision: 1, deleted: 0 });
}

#[test]
fn a_retried_transaction_is_not_run_again() {
    let mut world = World::new();
    let id = CommandId { boot: 9, sequence: 1 };
    let stamped = Stamped { id, low_water: 0, command: Command::EtcdTxn(all(vec![put("a", "1")])) };
    let first = world.state.apply(std::slice::from_ref(&stamped));
    let again = world.state.apply(std::slice::from_ref(&stamped));
    assert_eq!(first.outcomes, again.outcomes);
    assert!(again.events.is_empty());
    assert!(matches!(&again.outcomes[0], Outcome::Txn { answers: Answers(None), .. }));
}

#[test]
fn ranges_are_sorted_limited_counted_and_bounded() {
    let mut world = World::new();
    for (name, value) in [("/registry/x/y/a", "3"), ("b", "1"), ("/registry/x/z/c", "2"), ("/registry/w", "4")] {
        world.txn(all(vec![put(name, value)])).unwrap();
    }
    let check = |read: RangeRead, expected: &[&str], count: u64, more: bool| {
        let found = read.read(&world.state.snapshot());
        let values: Vec<_> = found.entries.iter().map(|e| String::from_utf8_lossy(&e.value).into_owned()).collect();
        assert_eq!(
            (values, found.count, found.more),
            (expected.iter().map(|v| v.to_string()).collect(), count, more),
            "{read:?}"
        );
    };
    use raft_state::txn::{Bounds, Sort, SortBy};
    let everything = || range("\0", "\0");
    check(everything(), &["4", "3", "2", "1"], 4, false);
    check(RangeRead { limit: 2, ..everything() }, &["4", "3"], 4, true);
    check(RangeRead { count_only: true, ..everything() }, &[], 4, false);
    let by_value = Sort { by: SortBy::Value, is_descending: true };
    check(RangeRead { sort: by_value, limit: 3, ..everything() }, &["4", "3", "2"], 4, true);
    let bounds = Bounds { min_mod: 3, max_mod: 4, ..Bounds::default() };
    check(RangeRead { bounds, ..everything() }, &["2", "1"], 4, false);
    check(range("/registry/x/y/", "/registry/x/z0"), &["3", "2"], 2, false);
    check(range("b", ""), &["1"], 1, false);
    check(range("c", "b"), &[], 0, false);
}
