//! Starts masters again that ended though nobody told them to, as any process supervisor does, and notes it.

use std::time::Duration;

use anyhow::Result;

use crate::world::World;

/// How often it looks: what ends at once is not started again at once.
const EVERY: Duration = Duration::from_millis(250);

/// Supervises until the round is over.
///
/// # Errors
/// When a master cannot be started.
pub async fn run(world: &World) -> Result<()> {
    while !world.is_over() {
        for index in 0..world.cluster.masters() {
            if let Some(how) = world.cluster.died(index) {
                let words = world.cluster.last_words(index);
                world.deaths.lock().push((world.recorder.now(), index, format!("{how}; its last words:\n{words}")));
                world.cluster.launch(index)?;
            }
        }
        world.pause(EVERY).await;
    }
    Ok(())
}
