//! Transactions on lists: each reads some and appends to some, all or nothing, through etcd's compare-and-then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use api_proto::etcd::etcdserverpb::TxnRequest;
use futures::FutureExt;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Need, Workload};
use crate::etcd::{Answer, EtcdSession, changed_at, found, get, put};
use crate::history::{Call, End};
use crate::world::World;

/// Lists live so long.
const GENERATION: Duration = Duration::from_secs(6);
/// Lists in use at a time.
const KEYS: u32 = 3;

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "append",
    text: "transactions that read lists and append to them, through etcd's API",
    clients: 4,
    nodes: 0,
    need: Need::Etcd,
    run: |world, number| run(world, number).boxed(),
    last: None,
};

async fn run(world: Arc<World>, number: usize) -> Result<()> {
    let mut random = world.choices(&format!("append {number}"));
    let mut session = EtcdSession::new(world.clone())?;
    let mut process = world.recorder.process();
    let mut next = (number as u64 + 1) * 1_000_000;
    while !world.is_over() {
        let steps = draw(&world, &mut random, &mut next);
        let master = random.random_range(0..world.cluster.masters());
        let call = Call { process, workload: "append", f: "txn", key: String::new(), input: json!(steps), master };
        let ticket = world.recorder.invoke(call);
        let end = transact(&mut session, master, &steps).await;
        if matches!(end, End::Info(_)) {
            process = world.recorder.process();
        }
        world.recorder.complete(ticket, end);
        let pause = random.random_range(0..70);
        world.pause(Duration::from_millis(pause)).await;
    }
    Ok(())
}

/// `["append", list, element]` or `["r", list, null]`, one to four.
fn draw(world: &World, random: &mut StdRng, next: &mut u64) -> Vec<Value> {
    let generation = world.recorder.now().as_millis() / GENERATION.as_millis();
    (0..random.random_range(1..=4))
        .map(|_| {
            let list = format!("append/{generation}/{}", random.random_range(0..KEYS));
            if random.random_bool(0.5) {
                *next += 1;
                json!(["append", list, *next])
            } else {
                json!(["r", list, null])
            }
        })
        .collect()
}

fn list_of(step: &Value) -> &str {
    step[1].as_str().unwrap_or_default()
}

/// Reads all lists at one revision, and writes those that grow unless any has changed since.
async fn transact(session: &mut EtcdSession, master: usize, steps: &[Value]) -> End {
    let mut lists: Vec<&str> = steps.iter().map(list_of).collect();
    lists.sort_unstable();
    lists.dedup();
    let reading = TxnRequest { success: lists.iter().map(|list| get(list)).collect(), ..TxnRequest::default() };
    let seen = match session.txn(master, reading).await {
        Answer::Done(response) => found(&response),
        // Nothing was written yet.
        Answer::Refused(why) | Answer::NotSent(why) | Answer::Unknown(why) => return End::Fail(why),
    };
    let mut held: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut conditions = Vec::new();
    for (list, (value, revision)) in lists.iter().zip(&seen) {
        let elements = value.iter().flat_map(|text| text.split(',')).filter_map(|text| text.parse().ok());
        held.insert(list, elements.collect());
        conditions.push(changed_at(list, *revision));
    }
    let mut grown: Vec<&str> = Vec::new();
    let mut done: Vec<Value> = Vec::new();
    for step in steps {
        let Some(elements) = held.get_mut(list_of(step)) else { continue };
        if step[0] == "append" {
            elements.extend(step[2].as_u64());
            grown.push(list_of(step));
            done.push(step.clone());
        } else {
            done.push(json!(["r", list_of(step), elements]));
        }
    }
    if grown.is_empty() {
        return End::Ok(Value::Array(done));
    }
    let text = |list: &str| held[list].iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    grown.sort_unstable();
    grown.dedup();
    let writing = TxnRequest {
        compare: conditions,
        success: grown.iter().map(|list| put(list, &text(list), 0)).collect(),
        failure: Vec::new(),
    };
    match session.txn(master, writing).await {
        Answer::Done(response) if response.succeeded => End::Ok(Value::Array(done)),
        Answer::Done(_) => End::Fail("another was faster".to_owned()),
        Answer::Refused(why) | Answer::NotSent(why) => End::Fail(why),
        Answer::Unknown(why) => End::Info(why),
    }
}
