//! Our checker of transactions on lists against trying every order there is, on small histories, good and bad.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jepsen::checkers::serializable::judge;
use jepsen::history::{End, Op};
use jepsen::world::choices;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

const HISTORIES: u64 = 2000;
const LISTS: [&str; 2] = ["x", "y"];

type Lists = BTreeMap<String, Vec<u64>>;

/// What a transaction does to lists: its steps with what they read.
fn act(lists: &mut Lists, steps: &[Value]) -> Vec<Value> {
    let mut done = Vec::new();
    for step in steps {
        let list = lists.entry(step[1].as_str().unwrap().to_owned()).or_default();
        if step[0] == "append" {
            list.push(step[2].as_u64().unwrap());
            done.push(step.clone());
        } else {
            done.push(json!(["r", step[1], list]));
        }
    }
    done
}

/// A few transactions, each in effect at a moment within its interval, and a last look at all lists.
fn generate(random: &mut StdRng) -> Vec<Op> {
    let mut lists = Lists::new();
    let mut ops = Vec::new();
    let count = random.random_range(2..=6u64);
    for moment in 1..=count {
        let steps: Vec<Value> = (0..random.random_range(1..=3u64))
            .map(|step| {
                let list = LISTS[random.random_range(0..LISTS.len())];
                if random.random_bool(0.5) {
                    json!(["append", list, moment * 10 + step])
                } else {
                    json!(["r", list, null])
                }
            })
            .collect();
        let end = match random.random_range(0..10) {
            0 => End::Fail(String::new()),
            1 => {
                if random.random_bool(0.5) {
                    act(&mut lists, &steps);
                }
                End::Info(String::new())
            }
            _ => End::Ok(Value::Array(act(&mut lists, &steps))),
        };
        let at = moment * 10;
        let interval = (at - random.random_range(0..25).min(at), at + random.random_range(1..25));
        ops.push(op(interval, Value::Array(steps), end));
    }
    let looks: Vec<Value> = LISTS.iter().map(|list| json!(["r", list, null])).collect();
    let seen = act(&mut lists, &looks);
    ops.push(op((1000, 1001), Value::Array(looks), End::Ok(Value::Array(seen))));
    ops
}

fn op((begun, ended): (u64, u64), input: Value, end: End) -> Op {
    Op {
        process: begun,
        workload: "append",
        f: "txn",
        key: String::new(),
        input,
        master: 0,
        invoked: Duration::from_millis(begun),
        completed: Some(Duration::from_millis(ended)),
        end,
    }
}

/// Makes one answer another: what a broken store might have said.
fn corrupt(ops: &mut [Op], random: &mut StdRng) {
    let place = random.random_range(0..ops.len());
    match &mut ops[place].end {
        End::Ok(Value::Array(steps)) => {
            let place = random.random_range(0..steps.len());
            let Some(read) = steps[place][2].as_array_mut() else { return };
            match random.random_range(0..4) {
                0 => drop(read.pop()),
                1 if !read.is_empty() => drop(read.remove(0)),
                2 => read.shuffle(random),
                _ => read.push(json!(random.random_range(10..70))),
            }
        }
        // It had failed, and yet the client was told that it happened, and that it found nothing.
        End::Fail(_) => {
            let steps = ops[place].input.as_array().into_iter().flatten();
            let told = steps.map(|step| if step[0] == "r" { json!(["r", step[1], []]) } else { step.clone() });
            ops[place].end = End::Ok(told.collect());
        }
        _ => {}
    }
}

/// Whether there is an order, true to real time, in which all that happened could have, and of the rest what may have.
fn some_order(ops: &[&Op], lists: &Lists, placed: &BTreeSet<usize>) -> bool {
    if ops.iter().enumerate().all(|(number, op)| placed.contains(&number) || op.result().is_none()) {
        return true;
    }
    (0..ops.len()).filter(|next| !placed.contains(next)).any(|next| {
        // Whoever was over before it began stands before it.
        let waits = ops.iter().enumerate().any(|(number, op)| {
            !placed.contains(&number)
                && op.result().is_some()
                && op.completed.is_some_and(|end| end < ops[next].invoked)
        });
        let mut after = lists.clone();
        let steps = ops[next].result().unwrap_or(&ops[next].input).as_array().unwrap();
        let done = act(&mut after, steps);
        let fits = ops[next].result().is_none() || done == *steps;
        let mut placed = placed.clone();
        placed.insert(next);
        !waits && fits && some_order(ops, &after, &placed)
    })
}

#[test]
fn the_checker_agrees_with_trying_every_order() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..HISTORIES {
        let mut random = choices(seed, "transactions");
        let mut ops = generate(&mut random);
        if seed % 2 == 1 {
            (0..3).for_each(|_| corrupt(&mut ops, &mut random));
        }
        let all: Vec<&Op> = ops.iter().collect();
        let happened: Vec<&Op> = ops.iter().filter(|op| !op.failed()).collect();
        let possible = some_order(&happened, &Lists::new(), &BTreeSet::new());
        let found: Vec<String> = judge(&all).anomalies.into_iter().map(|anomaly| anomaly.text).collect();
        assert_eq!(found.is_empty(), possible, "history {seed}: {found:?} in {ops:#?}");
        assert!(possible || seed % 2 == 1, "history {seed} was generated in an order: {ops:#?}");
        if possible { good += 1 } else { bad += 1 }
    }
    assert!(good > 500 && bad > 500, "{good} good and {bad} bad histories: too one-sided to show much");
}
