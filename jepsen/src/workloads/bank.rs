//! A bank: money moves between accounts, two at a time, and none is made or lost.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use api_proto::etcd::etcdserverpb::TxnRequest;
use futures::FutureExt;
use rand::Rng;
use serde_json::{Value, json};

use super::{Need, Workload};
use crate::etcd::{Answer, EtcdSession, changed_at, found, get, made_at, put};
use crate::history::{Call, End};
use crate::world::World;

/// Accounts.
pub const ACCOUNTS: usize = 5;
/// What each has at first.
pub const BALANCE: i64 = 100;

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "bank",
    text: "money moved between accounts in transactions, through etcd's API",
    clients: 3,
    nodes: 0,
    need: Need::Etcd,
    run: |world, number| run(world, number).boxed(),
    last: None,
};

fn account(number: usize) -> String {
    format!("bank/{number}")
}

async fn run(world: Arc<World>, number: usize) -> Result<()> {
    let mut random = world.choices(&format!("bank {number}"));
    let mut session = EtcdSession::new(world.clone())?;
    let mut process = world.recorder.process();
    while !world.is_over() {
        let master = random.random_range(0..world.cluster.masters());
        if !open(&mut session, master).await {
            world.pause(Duration::from_millis(50)).await;
            continue;
        }
        break;
    }
    while !world.is_over() {
        let master = random.random_range(0..world.cluster.masters());
        let from = random.random_range(0..ACCOUNTS);
        let to = (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
        let amount = random.random_range(1..20);
        let reads = random.random_bool(0.4);
        let input = if reads { Value::Null } else { json!({"from": from, "to": to, "amount": amount}) };
        let f = if reads { "read" } else { "transfer" };
        let ticket =
            world.recorder.invoke(Call { process, workload: "bank", f, key: "bank".to_owned(), input, master });
        let end = if reads {
            balances(&mut session, master).await
        } else {
            transfer(&mut session, master, (from, to), amount).await
        };
        if matches!(end, End::Info(_)) {
            process = world.recorder.process();
        }
        world.recorder.complete(ticket, end);
        let pause = random.random_range(0..80);
        world.pause(Duration::from_millis(pause)).await;
    }
    Ok(())
}

/// Makes all accounts, unless they are there.
async fn open(session: &mut EtcdSession, master: usize) -> bool {
    let txn = TxnRequest {
        compare: (0..ACCOUNTS).map(|number| made_at(&account(number), 0)).collect(),
        success: (0..ACCOUNTS).map(|number| put(&account(number), &BALANCE.to_string(), 0)).collect(),
        failure: Vec::new(),
    };
    matches!(session.txn(master, txn).await, Answer::Done(_))
}

async fn balances(session: &mut EtcdSession, master: usize) -> End {
    let success = (0..ACCOUNTS).map(|number| get(&account(number))).collect();
    match session.txn(master, TxnRequest { success, ..TxnRequest::default() }).await {
        Answer::Done(response) => {
            let balances: Vec<Option<i64>> =
                found(&response).into_iter().map(|(value, _)| value?.parse().ok()).collect();
            End::Ok(json!(balances))
        }
        Answer::Refused(why) | Answer::NotSent(why) | Answer::Unknown(why) => End::Fail(why),
    }
}

async fn transfer(session: &mut EtcdSession, master: usize, (from, to): (usize, usize), amount: i64) -> End {
    let accounts = [account(from), account(to)];
    let reading = TxnRequest { success: accounts.iter().map(|a| get(a)).collect(), ..TxnRequest::default() };
    let seen = match session.txn(master, reading).await {
        Answer::Done(response) => found(&response),
        Answer::Refused(why) | Answer::NotSent(why) | Answer::Unknown(why) => return End::Fail(why),
    };
    let balance = |side: usize| seen[side].0.as_ref().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    if balance(0) < amount {
        return End::Fail("there is not enough".to_owned());
    }
    let writing = TxnRequest {
        compare: (0..2).map(|side| changed_at(&accounts[side], seen[side].1)).collect(),
        success: vec![
            put(&accounts[0], &(balance(0) - amount).to_string(), 0),
            put(&accounts[1], &(balance(1) + amount).to_string(), 0),
        ],
        failure: Vec::new(),
    };
    match session.txn(master, writing).await {
        Answer::Done(response) if response.succeeded => End::Ok(Value::Null),
        Answer::Done(_) => End::Fail("another was faster".to_owned()),
        Answer::Refused(why) | Answer::NotSent(why) => End::Fail(why),
        Answer::Unknown(why) => End::Info(why),
    }
}
