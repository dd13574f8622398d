//! A client of ConfigMaps, each a register that holds one number: every call is noted with what it ended with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::client::{Answer, Session};
use crate::history::{Call, End};
use crate::world::{NAMESPACE, World};

/// Keys live so long: histories of a key stay short enough to be judged.
const GENERATION: Duration = Duration::from_secs(4);
/// Keys in use at a time.
const KEYS: u32 = 2;

/// What a client last saw of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    value: u64,
    revision: u64,
}

/// One client.
pub(super) struct ObjectClient {
    pub(super) world: Arc<World>,
    pub(super) random: StdRng,
    session: Session,
    workload: &'static str,
    process: u64,
    number: u64,
    written: u64,
    seen: BTreeMap<String, Seen>,
    /// What it saw of an object before that.
    before: BTreeMap<String, Seen>,
}

/// Where ConfigMaps are.
pub(super) fn collection() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps")
}

fn path(key: &str) -> String {
    format!("{}/{key}", collection())
}

/// The number that an object holds and its version.
pub(super) fn holds(body: &Value) -> Option<(u64, u64)> {
    let text = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    Some((text(&body["data"]["v"])?, text(&body["metadata"]["resourceVersion"])?))
}

fn result(body: Value) -> Value {
    match holds(&body) {
        Some((value, revision)) => json!({"value": value, "revision": revision}),
        None => json!({"unreadable": body}),
    }
}

impl ObjectClient {
    pub(super) fn new(world: Arc<World>, workload: &'static str, number: usize) -> Self {
        let random = world.choices(&format!("{workload} {number}"));
        Self {
            session: Session::new(world.clone()),
            process: world.recorder.process(),
            random,
            workload,
            number: number as u64,
            written: 0,
            seen: BTreeMap::new(),
            before: BTreeMap::new(),
            world,
        }
    }

    /// Waits a little, so that clients leave processors to the cluster.
    pub(super) async fn breathe(&mut self) {
        let pause = self.random.random_range(0..60);
        self.world.pause(Duration::from_millis(pause)).await;
    }

    /// A key of the present generation.
    pub(super) fn key(&mut self) -> String {
        let generation = self.world.recorder.now().as_millis() / GENERATION.as_millis();
        for seen in [&mut self.seen, &mut self.before] {
            seen.retain(|key, _| key.contains(&format!("-{generation}-")));
        }
        format!("{}-{generation}-{}", self.workload, self.random.random_range(0..KEYS))
    }

    /// A number that nobody else writes.
    fn fresh(&mut self) -> u64 {
        self.written += 1;
        (self.number + 1) * 1_000_000 + self.written
    }

    fn master(&mut self) -> usize {
        self.random.random_range(0..self.world.cluster.masters())
    }

    async fn call(&mut self, f: &'static str, key: &str, input: Value, request: Request) -> Option<Seen> {
        let master = self.master();
        let call = Call { process: self.process, workload: self.workload, f, key: key.to_owned(), input, master };
        let ticket = self.world.recorder.invoke(call);
        let path = path(key);
        let answer = match &request {
            Request::Get => self.session.get(master, &path).await,
            Request::Post(object) => self.session.post(master, &collection(), object).await,
            Request::Put(object) => self.session.put(master, &path, object).await,
            Request::Merge(patch) => self.session.merge(master, &path, patch).await,
            Request::Delete(options) => self.session.delete(master, &path, options).await,
        };
        let end = self.end(&request, answer);
        let seen = match &end {
            End::Ok(value) => value["value"].as_u64().zip(value["revision"].as_u64()),
            _ => None,
        };
        if matches!(end, End::Info(_)) {
            self.process = self.world.recorder.process();
        }
        self.world.recorder.complete(ticket, end);
        let seen = seen.map(|(value, revision)| Seen { value, revision });
        match seen {
            Some(seen) => {
                let before = self.seen.insert(key.to_owned(), seen).filter(|before| before.revision != seen.revision);
                self.before.extend(before.map(|before| (key.to_owned(), before)));
            }
            // Half of the time it goes on with what it believed: stale beliefs are what preconditions are for.
            None if self.random.random_bool(0.5) => drop(self.seen.remove(key)),
            None => {}
        }
        seen
    }

    fn end(&self, request: &Request, answer: Answer) -> End {
        match request {
            // That nothing is there is what the read found.
            Request::Get => match answer {
                Answer::Refused { code: 404, .. } => End::Ok(Value::Null),
                answer => answer.end_of_read(result),
            },
            Request::Delete(_) => answer.end_of_write(|_| Value::Null),
            _ => answer.end_of_write(result),
        }
    }

    /// Reads.
    pub(super) async fn read(&mut self, key: &str) {
        self.call("read", key, Value::Null, Request::Get).await;
    }

    /// Creates.
    pub(super) async fn create(&mut self, key: &str) {
        let value = self.fresh();
        self.call("create", key, json!(value), Request::Post(object(key, value, None))).await;
    }

    /// Replaces whatever is there.
    pub(super) async fn write(&mut self, key: &str) {
        let value = self.fresh();
        self.call("write", key, json!(value), Request::Put(object(key, value, None))).await;
    }

    /// Patches whatever is there.
    pub(super) async fn patch(&mut self, key: &str) {
        let value = self.fresh();
        let patch = json!({"data": {"v": value.to_string()}});
        self.call("write", key, json!(value), Request::Merge(patch)).await;
    }

    /// Replaces what it last saw, when it saw anything; reads otherwise.
    pub(super) async fn cas(&mut self, key: &str) {
        let Some(seen) = self.seen.get(key).copied() else { return self.read(key).await };
        let value = self.fresh();
        let object = object(key, value, Some(seen.revision));
        self.call("cas", key, json!({"from": seen.value, "to": value}), Request::Put(object)).await;
    }

    /// Asks by a patch that what it last saw, or saw before that, stay as it is, when it saw anything; reads otherwise. Nothing
    /// is written, and still the answer says what is in force.
    pub(super) async fn keep(&mut self, key: &str) {
        let before = self.before.get(key).filter(|_| self.random.random_bool(0.5));
        let Some(seen) = before.or(self.seen.get(key)).copied() else { return self.read(key).await };
        let patch = json!({
            "metadata": {"resourceVersion": seen.revision.to_string()}, "data": {"v": seen.value.to_string()},
        });
        self.call("keep", key, json!(seen.value), Request::Merge(patch)).await;
    }

    /// Deletes whatever is there.
    pub(super) async fn delete(&mut self, key: &str) {
        self.call("delete", key, Value::Null, Request::Delete(Value::Null)).await;
        self.seen.remove(key);
    }

    /// Deletes what it last saw, when it saw anything; reads otherwise.
    pub(super) async fn delete_seen(&mut self, key: &str) {
        let Some(seen) = self.seen.get(key).copied() else { return self.read(key).await };
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": seen.revision.to_string()},
        });
        self.call("delete-seen", key, json!(seen.value), Request::Delete(options)).await;
    }
}

enum Request {
    Get,
    Post(Value),
    Put(Value),
    Merge(Value),
    Delete(Value),
}

fn object(key: &str, value: u64, revision: Option<u64>) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": key}, "data": {"v": value.to_string()},
    });
    if let Some(revision) = revision {
        object["metadata"]["resourceVersion"] = revision.to_string().into();
    }
    object
}
