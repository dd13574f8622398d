//! Who led when, as the masters themselves say.

use std::time::Duration;

use parking_lot::Mutex;

use crate::world::World;

/// How often masters are asked.
const EVERY: Duration = Duration::from_millis(300);

/// What was seen of the cluster at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Since the beginning of the round.
    pub at: Duration,
    /// The leader, with the highest term of those who say that they lead.
    pub leader: Option<usize>,
    /// The highest term seen.
    pub term: u64,
    /// The highest revision seen.
    pub revision: u64,
    /// Masters that serve.
    pub ready: usize,
}

/// All that was seen.
#[derive(Default)]
pub struct Timeline(Mutex<Vec<Sight>>);

impl Timeline {
    /// All sights, in order.
    pub fn all(&self) -> Vec<Sight> {
        self.0.lock().clone()
    }

    /// The last sight.
    pub fn last(&self) -> Option<Sight> {
        self.0.lock().last().cloned()
    }
}

/// Changes of the leader or its term: when, who, term.
pub fn elections(sights: &[Sight]) -> Vec<(Duration, usize, u64)> {
    let mut elections: Vec<(Duration, usize, u64)> = Vec::new();
    for sight in sights {
        if let Some(leader) = sight.leader
            && elections.last().is_none_or(|(_, last, term)| (*last, *term) != (leader, sight.term))
        {
            elections.push((sight.at, leader, sight.term));
        }
    }
    elections
}

/// Watches until the round is over.
pub async fn watch(world: &World) {
    while !world.is_over() {
        let masters = world.cluster.masters();
        let standings = futures::future::join_all((0..masters).map(|index| world.cluster.standing(index))).await;
        let mut sight = Sight { at: world.recorder.now(), leader: None, term: 0, revision: 0, ready: 0 };
        for (index, standing) in standings.iter().enumerate() {
            let Ok(standing) = standing else { continue };
            let term = standing["term"].as_u64().unwrap_or(0);
            if standing["leads"] == true && term >= sight.term {
                sight.leader = Some(index);
            }
            sight.term = sight.term.max(term);
            sight.revision = sight.revision.max(standing["revision"].as_u64().unwrap_or(0));
            sight.ready += usize::from(standing["ready"] == true);
        }
        world.timeline.0.lock().push(sight);
        world.pause(EVERY).await;
    }
}
