//! A set that only grows: members are objects, reads are lists. What was acknowledged must be in every later list.

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

/// Sets live so long: lists stay short.
const GENERATION: Duration = Duration::from_secs(10);

/// The row.
pub static WORKLOAD: Workload = Workload {
    name: "set",
    text: "ConfigMaps created for good, and lists of all of them, whole and in pages",
    clients: 3,
    nodes: 0,
    need: Need::Nothing,
    run: |world, number| run(world, number).boxed(),
    last: Some(|world, number| last(world, number).boxed()),
};

async fn run(world: Arc<World>, number: usize) -> anyhow::Result<()> {
    let mut random = world.choices(&format!("set {number}"));
    let mut session = Session::new(world.clone());
    let mut process = world.recorder.process();
    for count in 0u64.. {
        if world.is_over() {
            break;
        }
        let set = format!("set-{}", world.recorder.now().as_millis() / GENERATION.as_millis());
        let master = random.random_range(0..world.cluster.masters());
        let certain = if random.random_range(0..100) < 92 {
            add(&world, &mut session, process, &set, (number as u64 + 1) * 1_000_000 + count, master).await
        } else {
            let page = [None, Some(20)][random.random_range(0..2)];
            read(&world, &mut session, process, &set, page, master).await
        };
        if !certain {
            process = world.recorder.process();
        }
        let pause = random.random_range(0..80);
        world.pause(Duration::from_millis(pause)).await;
    }
    Ok(())
}

/// Every set, from every master: each must hold the same by now.
async fn last(world: Arc<World>, number: usize) -> anyhow::Result<()> {
    if number > 0 {
        return Ok(());
    }
    let mut session = Session::new(world.clone());
    for master in 0..world.cluster.masters() {
        for generation in 0..=world.recorder.now().as_millis() / GENERATION.as_millis() {
            let process = world.recorder.process();
            read(&world, &mut session, process, &format!("set-{generation}"), None, master).await;
        }
    }
    Ok(())
}

async fn add(world: &World, session: &mut Session, process: u64, set: &str, member: u64, master: usize) -> bool {
    let call = Call { process, workload: "set", f: "add", key: set.to_owned(), input: json!(member), master };
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("{set}-{member}"), "labels": {"set": set}}, "data": {"v": member.to_string()},
    });
    let ticket = world.recorder.invoke(call);
    let answer = session.post(master, &collection(), &object).await;
    let end = answer.end_of_write(|body| json!({"revision": holds(&body).map(|(_, revision)| revision)}));
    let certain = !matches!(end, End::Info(_));
    world.recorder.complete(ticket, end);
    certain
}

async fn read(
    world: &World,
    session: &mut Session,
    process: u64,
    set: &str,
    page: Option<usize>,
    master: usize,
) -> bool {
    let input = json!({"page": page});
    let ticket =
        world.recorder.invoke(Call { process, workload: "set", f: "read", key: set.to_owned(), input, master });
    let mut members = Vec::new();
    let mut token = String::new();
    let end = loop {
        let mut path = format!("{}?labelSelector=set%3D{set}", collection());
        if let Some(page) = page {
            path.push_str(&format!("&limit={page}&continue={token}"));
        }
        let answer = session.get(master, &path).await;
        let Answer::Done(body) = answer else { break answer.end_of_read(|_| Value::Null) };
        members.extend(body["items"].as_array().into_iter().flatten().filter_map(holds).map(|(v, _)| v));
        body["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut token);
        if token.is_empty() {
            let revision = body["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok());
            break End::Ok(json!({"members": members, "revision": revision}));
        }
    };
    world.recorder.complete(ticket, end);
    true
}
