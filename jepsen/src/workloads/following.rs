//! A watch that is followed for a whole round, through one master after another, without a gap.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use serde_json::Value;

use crate::client::Session;
use crate::world::World;

/// What is noted of an event at a revision.
type Note = fn(revision: u64, event: &Value) -> Value;

/// Watches a resource from the round's beginning until it is over; what was noted of each event, in order. `path` names the
/// resource and has a query, `who` fixes the choice of masters.
pub async fn follow(world: &Arc<World>, who: &str, path: &str, note: Note) -> Vec<Value> {
    let mut session = Session::new(world.clone());
    let mut random = world.choices(who);
    // The namespace was made then: whatever is in it is seen from its beginning.
    let mut from = world.origin;
    let mut noted: Vec<Value> = Vec::new();
    while !world.is_over() {
        let master = random.random_range(0..world.cluster.masters());
        from = watch(world, &mut session, master, path, from, note, &mut noted).await;
    }
    noted
}

/// Watches until the stream breaks or the round is over; how far it came.
async fn watch(
    world: &World,
    session: &mut Session,
    master: usize,
    path: &str,
    mut from: u64,
    note: Note,
    noted: &mut Vec<Value>,
) -> u64 {
    let path = format!("{path}&watch=true&resourceVersion={from}");
    let mut stop = world.stop.clone();
    let watching = async {
        let mut watch = session.connection(master).await?.watch(&path).await?;
        while let Some(event) = watch.next().await? {
            let object = &event["object"];
            let Some(revision) = object["metadata"]["resourceVersion"].as_str().and_then(|t| t.parse().ok()) else {
                break;
            };
            from = revision;
            noted.push(note(revision, &event));
        }
        anyhow::Ok(())
    };
    // A master that is cut off keeps its watches open: every watch is left after a while.
    let limit = Duration::from_secs(3);
    let broke = tokio::select! {
        watched = tokio::time::timeout(limit, watching) => !matches!(watched, Ok(Ok(()))),
        _ = stop.wait_for(|stop| *stop) => false,
    };
    if broke {
        session.disconnect(master);
        world.pause(Duration::from_millis(20)).await;
    }
    from
}
