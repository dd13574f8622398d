//! A lock as etcd's users build it: a key under a lease, and writes that are fenced by the revision at which the lock
//! was taken. Holders are slow at times, and do not notice that they lost it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use api_proto::etcd::etcdserverpb::TxnRequest;
use futures::FutureExt;
use rand::Rng;
use serde_json::{Value, json};

use super::{Need, Workload};
use crate::etcd::{Answer, EtcdSession, delete, made_at, put, revision};
use crate::history::{Call, End};
use crate::world::World;

const LOCK: &str = "lock/holder";
const RESOURCE: &str = "lock/resource";

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "lock",
    text: "a lock under a lease, and writes fenced by it, through etcd's API",
    clients: 3,
    nodes: 0,
    need: Need::Etcd,
    run: |world, number| run(world, number).boxed(),
    last: None,
};

async fn run(world: Arc<World>, number: usize) -> Result<()> {
    let mut random = world.choices(&format!("lock {number}"));
    let mut client = Client { session: EtcdSession::new(world.clone())?, world, number };
    while !client.world.is_over() {
        let masters = client.world.cluster.masters();
        let master = random.random_range(0..masters);
        let Answer::Done(lease) = client.session.grant(master, 2).await else {
            client.world.pause(Duration::from_millis(100)).await;
            continue;
        };
        while !client.world.is_over() {
            let token = client.acquire(random.random_range(0..masters), lease).await;
            if let Some(token) = token {
                for count in 0..random.random_range(1..6) {
                    // At times longer than the lease runs.
                    let pause = if random.random_bool(0.1) { 3000 } else { random.random_range(0..300) };
                    client.world.pause(Duration::from_millis(pause)).await;
                    client.write(random.random_range(0..masters), token, count).await;
                }
                if random.random_bool(0.7) {
                    client.release(random.random_range(0..masters), token).await;
                }
                break;
            }
            let alive = client.session.keep_alive(random.random_range(0..masters), lease).await;
            if matches!(alive, Answer::Done(0) | Answer::Refused(_)) {
                break;
            }
            client.world.pause(Duration::from_millis(150)).await;
        }
    }
    Ok(())
}

struct Client {
    world: Arc<World>,
    session: EtcdSession,
    number: usize,
}

impl Client {
    /// Does a transaction on the lock: ok with the revision when its condition held.
    async fn fenced(&mut self, f: &'static str, input: Value, master: usize, txn: TxnRequest) -> Option<i64> {
        let process = self.world.recorder.process();
        let call = Call { process, workload: "lock", f, key: LOCK.to_owned(), input, master };
        let ticket = self.world.recorder.invoke(call);
        let (end, done) = match self.session.txn(master, txn).await {
            Answer::Done(response) if response.succeeded => {
                let at = revision(&response);
                (End::Ok(json!({"revision": at})), Some(at))
            }
            Answer::Done(_) => (End::Fail("somebody else holds it".to_owned()), None),
            Answer::Refused(why) | Answer::NotSent(why) => (End::Fail(why), None),
            Answer::Unknown(why) => (End::Info(why), None),
        };
        self.world.recorder.complete(ticket, end);
        done
    }

    /// The token: the revision at which the lock was taken.
    async fn acquire(&mut self, master: usize, lease: i64) -> Option<i64> {
        let holder = format!("client {}", self.number);
        let txn = TxnRequest {
            compare: vec![made_at(LOCK, 0)],
            success: vec![put(LOCK, &holder, lease)],
            failure: Vec::new(),
        };
        self.fenced("acquire", json!(self.number), master, txn).await
    }

    async fn write(&mut self, master: usize, token: i64, count: u32) {
        let txn = TxnRequest {
            compare: vec![made_at(LOCK, token)],
            success: vec![put(RESOURCE, &format!("{token}.{count}"), 0)],
            failure: Vec::new(),
        };
        self.fenced("fenced", json!(token), master, txn).await;
    }

    async fn release(&mut self, master: usize, token: i64) {
        let txn = TxnRequest { compare: vec![made_at(LOCK, token)], success: vec![delete(LOCK)], failure: Vec::new() };
        self.fenced("release", json!(token), master, txn).await;
    }
}
