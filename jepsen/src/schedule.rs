//! When which fault strikes: drawn from a seed before the round begins.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::nemeses::{Fault, LANES, Lane, Nemesis};
use crate::world::{World, choices};

/// The cluster is left in peace so long before the first fault.
const CALM_BEFORE_MS: u64 = 1500;
/// Between two faults of a lane, at least and at most.
const BETWEEN_MS: (u64, u64) = (1000, 4500);
/// How long a lane waits for the masters of its last fault to serve again before it strikes anew.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);

/// One fault to come.
pub struct Step {
    /// Not before.
    pub at: Duration,
    /// Lasts so long.
    pub length: Duration,
    /// Its kind.
    pub nemesis: &'static Nemesis,
    /// Itself.
    pub fault: Box<dyn Fault>,
}

/// Draws the faults of each lane for a round of this length. Every nemesis has its turn before any has its second.
pub fn draw(seed: u64, length: Duration, masters: usize, nemeses: &[&'static Nemesis]) -> Vec<Vec<Step>> {
    LANES
        .iter()
        .map(|lane| draw_lane(&mut choices(seed, &format!("{lane:?}")), length, masters, *lane, nemeses))
        .collect()
}

fn draw_lane(
    random: &mut StdRng,
    length: Duration,
    masters: usize,
    lane: Lane,
    nemeses: &[&'static Nemesis],
) -> Vec<Step> {
    let deck: Vec<&'static Nemesis> = nemeses.iter().copied().filter(|nemesis| nemesis.lane == lane).collect();
    let mut steps = Vec::new();
    let mut turn: Vec<&'static Nemesis> = Vec::new();
    let mut at = CALM_BEFORE_MS;
    while !deck.is_empty() {
        if turn.is_empty() {
            turn.clone_from(&deck);
            turn.shuffle(random);
        }
        let Some(nemesis) = turn.pop() else { break };
        at += random.random_range(BETWEEN_MS.0..=BETWEEN_MS.1);
        let lasts = random.random_range(nemesis.lasts_ms.0..=nemesis.lasts_ms.1);
        if Duration::from_millis(at + lasts) > length {
            break;
        }
        let fault = (nemesis.draw)(random, masters);
        steps.push(Step { at: Duration::from_millis(at), length: Duration::from_millis(lasts), nemesis, fault });
        at += lasts;
    }
    steps
}

/// Lets one lane's faults strike, each at its time or as soon as the one before has been recovered from.
///
/// # Errors
/// When a fault cannot be made or unmade: that is a failure of the harness, not of the cluster.
pub async fn run(world: &World, steps: Vec<Step>) -> Result<()> {
    for mut step in steps {
        world.pause(step.at.saturating_sub(world.recorder.now())).await;
        if world.is_over() {
            break;
        }
        let name = step.nemesis.name;
        let impact = step.fault.aim(world).await;
        let touched = impact.touched(world.cluster.masters());
        let number = world.faults.begin(name, impact, world.recorder.now());
        step.fault.begin(world).await.with_context(|| format!("nemesis {name} begins"))?;
        world.pause(step.length).await;
        step.fault.end(world).await.with_context(|| format!("nemesis {name} ends"))?;
        world.faults.end(number, world.recorder.now());
        let recovered = touched.iter().map(|index| world.cluster.serving(*index, RECOVERY_LIMIT));
        if futures::future::join_all(recovered).await.iter().all(Result::is_ok)
            && step.fault.recovered(world, RECOVERY_LIMIT).await
        {
            world.faults.recover(number, world.recorder.now());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemeses::ALL;

    #[test]
    fn a_seed_fixes_the_schedule() {
        let shape = |seed| -> Vec<(Duration, &str)> {
            draw(seed, Duration::from_secs(60), 3, ALL).iter().flatten().map(|s| (s.at, s.nemesis.name)).collect()
        };
        assert_eq!(shape(7), shape(7));
        assert_ne!(shape(7), shape(8));
    }

    #[test]
    fn every_nemesis_has_its_turn_and_none_outlasts_the_round() {
        let length = Duration::from_secs(600);
        let steps = draw(3, length, 5, ALL);
        for nemesis in ALL {
            assert!(steps.iter().flatten().any(|step| step.nemesis.name == nemesis.name), "{}", nemesis.name);
        }
        assert!(steps.iter().flatten().all(|step| step.at + step.length <= length));
    }
}
