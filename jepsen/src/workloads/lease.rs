//! Leases: granted, renewed for a while, then revoked or left alone; a key tells whether each still lives.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use api_proto::etcd::etcdserverpb::TxnRequest;
use futures::FutureExt;
use rand::Rng;
use serde_json::{Value, json};

use super::{Need, Workload};
use crate::etcd::{Answer, EtcdSession, found, get, put};
use crate::history::{Call, End};
use crate::world::World;

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "lease",
    text: "leases granted, renewed, revoked and left alone, through etcd's API",
    clients: 3,
    nodes: 0,
    need: Need::Etcd,
    run: |world, number| run(world, number).boxed(),
    last: None,
};

async fn run(world: Arc<World>, number: usize) -> Result<()> {
    let mut random = world.choices(&format!("lease {number}"));
    let mut client = Client { session: EtcdSession::new(world.clone())?, world, key: String::new() };
    for count in 0.. {
        if client.world.is_over() {
            break;
        }
        client.key = format!("lease/{number}/{count}");
        let masters = client.world.cluster.masters();
        let ttl_s = random.random_range(2..=4);
        let Some(id) = client.grant(random.random_range(0..masters), ttl_s).await else {
            client.world.pause(Duration::from_millis(100)).await;
            continue;
        };
        if !client.put(random.random_range(0..masters), id).await {
            continue;
        }
        let renewals = random.random_range(0..8);
        for _ in 0..renewals {
            let pause = random.random_range(0..700);
            client.world.pause(Duration::from_millis(pause)).await;
            client.renew(random.random_range(0..masters), id, ttl_s).await;
            client.look(random.random_range(0..masters)).await;
        }
        if random.random_bool(0.3) {
            client.revoke(random.random_range(0..masters), id).await;
        }
        // Until it is gone, or long enough to be sure that it should be.
        for _ in 0..40 {
            if client.world.is_over() || client.look(random.random_range(0..masters)).await == Some(false) {
                break;
            }
            client.world.pause(Duration::from_millis(250)).await;
        }
    }
    Ok(())
}

struct Client {
    world: Arc<World>,
    session: EtcdSession,
    key: String,
}

impl Client {
    fn begin(&self, f: &'static str, input: Value, master: usize) -> crate::history::Ticket {
        let process = self.world.recorder.process();
        self.world.recorder.invoke(Call { process, workload: "lease", f, key: self.key.clone(), input, master })
    }

    async fn grant(&mut self, master: usize, ttl_s: i64) -> Option<i64> {
        let ticket = self.begin("grant", json!(ttl_s), master);
        let answer = self.session.grant(master, ttl_s).await;
        let id = if let Answer::Done(id) = &answer { Some(*id) } else { None };
        self.world.recorder.complete(ticket, end(answer, |id| json!(id)));
        id
    }

    async fn put(&mut self, master: usize, id: i64) -> bool {
        let ticket = self.begin("put", json!(id), master);
        let txn = TxnRequest { success: vec![put(&self.key, "alive", id)], ..TxnRequest::default() };
        let answer = self.session.txn(master, txn).await;
        let done = matches!(answer, Answer::Done(_));
        self.world.recorder.complete(ticket, end(answer, |_| Value::Null));
        done
    }

    async fn renew(&mut self, master: usize, id: i64, ttl_s: i64) {
        let ticket = self.begin("renew", json!(ttl_s), master);
        let answer = self.session.keep_alive(master, id).await;
        // 0: it is gone, and was not renewed.
        let answer = match answer {
            Answer::Done(0) => Answer::Refused("it is gone".to_owned()),
            other => other,
        };
        self.world.recorder.complete(ticket, end(answer, |ttl| json!(ttl)));
    }

    async fn revoke(&mut self, master: usize, id: i64) {
        let ticket = self.begin("revoke", json!(id), master);
        let answer = self.session.revoke(master, id).await;
        self.world.recorder.complete(ticket, end(answer, |()| Value::Null));
    }

    /// Whether the key is there, if it can be told.
    async fn look(&mut self, master: usize) -> Option<bool> {
        let ticket = self.begin("read", Value::Null, master);
        let txn = TxnRequest { success: vec![get(&self.key)], ..TxnRequest::default() };
        let answer = self.session.txn(master, txn).await;
        let there = match &answer {
            Answer::Done(response) => found(response).first().map(|(value, _)| value.is_some()),
            _ => None,
        };
        self.world.recorder.complete(ticket, end(answer, |_| json!(there)));
        there
    }
}

fn end<T>(answer: Answer<T>, result: impl FnOnce(T) -> Value) -> End {
    match answer {
        Answer::Done(answer) => End::Ok(result(answer)),
        Answer::Refused(why) | Answer::NotSent(why) => End::Fail(why),
        Answer::Unknown(why) => End::Info(why),
    }
}
