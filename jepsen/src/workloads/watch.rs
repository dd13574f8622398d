//! Watches: clients follow objects that others change, break off, and resume on another master where they were.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rand::Rng;
use serde_json::{Value, json};

use super::object_client::{collection, holds};
use super::{Need, Workload};
use crate::client::{Answer, Session};
use crate::history::{Call, End};
use crate::world::World;

/// Clients that change objects; the others watch.
const WRITERS: usize = 2;
/// Objects that change.
const KEYS: u32 = 8;
/// Objects that are watched have this label.
const SELECTOR: &str = "labelSelector=watched%3Dyes";

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "watch",
    text: "watches of changing objects, broken off and resumed on other masters",
    clients: 5,
    nodes: 0,
    need: Need::Nothing,
    run: |world, number| {
        async move { if number < WRITERS { write(world, number).await } else { follow(world, number).await } }.boxed()
    },
    last: Some(|world, number| last(world, number).boxed()),
};

/// Changes objects, each change with a value of its own.
async fn write(world: Arc<World>, number: usize) -> anyhow::Result<()> {
    let mut random = world.choices(&format!("watch writer {number}"));
    let mut session = Session::new(world.clone());
    let mut process = world.recorder.process();
    for count in 0u64.. {
        if world.is_over() {
            break;
        }
        // A name of its own for each writer: what it wrote last is what is there.
        let key = format!("watch-{number}-{}", random.random_range(0..KEYS));
        let value = (number as u64 + 1) * 1_000_000 + count;
        let master = random.random_range(0..world.cluster.masters());
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": key, "labels": {"watched": "yes"}}, "data": {"v": value.to_string()},
        });
        let path = format!("{}/{key}", collection());
        let f = ["create", "write", "write", "delete"][random.random_range(0..4)];
        let call = Call { process, workload: "watch", f, key: key.clone(), input: json!(value), master };
        let ticket = world.recorder.invoke(call);
        let answer = match f {
            "create" => session.post(master, &collection(), &object).await,
            "write" => session.put(master, &path, &object).await,
            _ => session.delete(master, &path, &Value::Null).await,
        };
        let end = answer.end_of_write(|body| match holds(&body) {
            Some((value, revision)) => json!({"value": value, "revision": revision}),
            None => Value::Null,
        });
        if matches!(end, End::Info(_)) {
            process = world.recorder.process();
        }
        world.recorder.complete(ticket, end);
        let pause = random.random_range(0..50);
        world.pause(Duration::from_millis(pause)).await;
    }
    Ok(())
}

/// Follows the objects through one master after another.
async fn follow(world: Arc<World>, number: usize) -> anyhow::Result<()> {
    let mut random = world.choices(&format!("watcher {number}"));
    let mut session = Session::new(world.clone());
    let mut from = None;
    while !world.is_over() {
        let master = random.random_range(0..world.cluster.masters());
        let Some(begin) = from else {
            from = beginning(&mut session, master).await;
            if from.is_none() {
                world.pause(Duration::from_millis(100)).await;
            }
            continue;
        };
        let patience = Duration::from_millis(random.random_range(100..3000));
        let stream = stream(&world, &mut session, number, master, begin, patience, None).await;
        from = match stream {
            Streamed::To(revision) => Some(revision),
            Streamed::TooOld => None,
            Streamed::Refused => {
                world.pause(Duration::from_millis(100)).await;
                Some(begin)
            }
        };
    }
    Ok(())
}

/// The revision of a list.
async fn beginning(session: &mut Session, master: usize) -> Option<u64> {
    match session.get(master, &format!("{}?{SELECTOR}&limit=1", collection())).await {
        Answer::Done(list) => list["metadata"]["resourceVersion"].as_str()?.parse().ok(),
        _ => None,
    }
}

/// From the first change on to the last that was acknowledged, through every master.
async fn last(world: Arc<World>, number: usize) -> anyhow::Result<()> {
    let masters = world.cluster.masters();
    if number >= masters {
        return Ok(());
    }
    let ops = world.recorder.ops();
    let changes = ops.iter().filter(|op| op.workload == "watch" && op.f != "watch");
    let mut revisions: Vec<u64> = changes.filter_map(|op| op.result()?["revision"].as_u64()).collect();
    revisions.sort_unstable();
    let Some(until) = revisions.last().copied() else { return Ok(()) };
    let patience = Duration::from_secs(10);
    let mut session = Session::new(world.clone());
    let mut first = 0;
    while let Some(from) = revisions.get(first).copied() {
        match stream(&world, &mut session, 100 + number, number, from, patience, Some(until)).await {
            // What was compacted is gone: half as far back.
            Streamed::TooOld => first += (revisions.len() - first).div_ceil(2),
            Streamed::To(_) | Streamed::Refused => break,
        }
    }
    Ok(())
}

/// Where a stream led.
enum Streamed {
    /// Everything up to this revision was seen.
    To(u64),
    /// 410: what it asked for is no longer kept.
    TooOld,
    /// It did not begin.
    Refused,
}

/// Watches for a while, or until a revision is seen, and notes all that came.
async fn stream(
    world: &Arc<World>,
    session: &mut Session,
    watcher: usize,
    master: usize,
    from: u64,
    patience: Duration,
    until: Option<u64>,
) -> Streamed {
    let call = Call {
        process: world.recorder.process(),
        workload: "watch",
        f: "watch",
        key: format!("watcher-{watcher}"),
        input: json!({"from": from, "until": until}),
        master,
    };
    let ticket = world.recorder.invoke(call);
    let mut notes = Notes { events: Vec::new(), bookmarks: Vec::new(), last: from, too_old: false };
    let watching = notes.watch(session, master, from, until);
    let end = match tokio::time::timeout(patience, watching).await {
        Err(_) => "broken off".to_owned(),
        Ok(Ok(end)) => end.to_owned(),
        Ok(Err(error)) => {
            session.disconnect(master);
            let begun = !notes.events.is_empty() || !notes.bookmarks.is_empty();
            let streamed = if begun { Streamed::To(notes.last) } else { Streamed::Refused };
            let end = if begun { notes.end("the connection broke") } else { End::Fail(format!("{error:#}")) };
            world.recorder.complete(ticket, end);
            return streamed;
        }
    };
    let streamed = if notes.too_old { Streamed::TooOld } else { Streamed::To(notes.last) };
    world.recorder.complete(ticket, notes.end(&end));
    streamed
}

/// What came on a stream.
struct Notes {
    /// `[type, revision, key, value]`
    events: Vec<Value>,
    /// `[events before it, revision]`
    bookmarks: Vec<Value>,
    last: u64,
    too_old: bool,
}

impl Notes {
    async fn watch(
        &mut self,
        session: &mut Session,
        master: usize,
        from: u64,
        until: Option<u64>,
    ) -> anyhow::Result<&'static str> {
        let path = format!("{}?watch=true&allowWatchBookmarks=true&{SELECTOR}&resourceVersion={from}", collection());
        let mut watch = session.connection(master).await?.watch(&path).await?;
        while until.is_none_or(|until| self.last < until) {
            let Some(event) = watch.next().await? else { return Ok("the server ended it") };
            let object = &event["object"];
            let kind = event["type"].as_str().unwrap_or_default();
            if kind == "ERROR" {
                self.too_old = object["code"] == 410;
                return Ok("refused");
            }
            let revision = object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok());
            let revision = revision.unwrap_or(0);
            if kind == "BOOKMARK" {
                self.bookmarks.push(json!([self.events.len(), revision]));
            } else {
                let value = holds(object).map(|(value, _)| value);
                self.events.push(json!([kind, revision, object["metadata"]["name"], value]));
            }
            self.last = revision;
        }
        Ok("it saw what it waited for")
    }

    fn end(self, why: &str) -> End {
        End::Ok(json!({
            "events": self.events, "bookmarks": self.bookmarks, "last": self.last, "end": why, "too-old": self.too_old,
        }))
    }
}
