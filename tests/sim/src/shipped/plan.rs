//! What a seed stands for in these worlds.

use std::time::Duration;

use raft_node::{Autopilot, Compaction, Limits, Timing};

use super::faults;
use crate::net::Weather;
use crate::plan::{Strike, draw_workloads};
use crate::rng::Rng;

/// A world to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Voters at the beginning.
    pub members: u64,
    /// The clocks of Raft.
    pub timing: Timing,
    /// When snapshots are made, and what entries hold.
    pub limits: Limits,
    /// When history is forgotten.
    pub compaction: Compaction,
    /// When members count as alive.
    pub autopilot: Autopilot,
    /// The network between the faults.
    pub weather: Weather,
    /// How long a sync takes.
    pub sync_us: (u64, u64),
    /// Whether a crash may leave part of what was not synced.
    pub torn: bool,
    /// Between two flushes of the state.
    pub flush_us: u64,
    /// How fast and how slow clocks run, in millionths beside the right time.
    pub drift_ppm: u64,
    /// In order of time.
    pub strikes: Vec<Strike>,
    /// Rows of the workloads, each with how much of it.
    pub workloads: Vec<(usize, u64)>,
    /// Faults and work end then.
    pub length_us: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed).fork(0x5417);
        let members = *rng.pick(&[3, 3, 3, 5]).unwrap_or(&3);
        let length_us = rng.between(2_000_000, 6_000_000);
        let weather = Weather {
            delay_us: *rng.pick(&[(100, 1_000), (200, 5_000), (1_000, 15_000)]).unwrap_or(&(100, 1_000)),
            overtaking: rng.permille(300),
            ..Weather::default()
        };
        let short = rng.permille(500);
        let limits = Limits {
            snapshot_log_bytes: if short { rng.between(2_000, 20_000) } else { 64 << 20 },
            keep_log_bytes: if short { rng.between(0, 8_000) } else { 64 << 20 },
            batch_bytes: *rng.pick(&[500, 8_000, 1 << 20]).unwrap_or(&8_000),
            ..Limits::default()
        };
        let every = Duration::from_millis(if rng.permille(300) { rng.between(300, 1_000) } else { 0 });
        let autopilot = Autopilot {
            fresh: Duration::from_millis(500),
            dead_after: Duration::from_secs(rng.between(1, 4)),
            lag_entries: 64,
            drain: Duration::from_millis(rng.between(0, 800)),
        };
        let mut plan = Self {
            seed,
            members,
            timing: Timing::default(),
            limits,
            compaction: Compaction { every, keep: every },
            autopilot,
            weather,
            sync_us: *rng.pick(&[(50, 500), (500, 5_000), (2_000, 30_000)]).unwrap_or(&(50, 500)),
            torn: rng.permille(500),
            flush_us: *rng.pick(&[50_000, 300_000, 2_000_000]).unwrap_or(&300_000),
            drift_ppm: if rng.permille(300) { rng.between(0, 100_000) } else { 0 },
            strikes: Vec::new(),
            workloads: draw_workloads(&mut rng.fork(1), |_| true),
            length_us,
        };
        plan.draw_strikes(&mut rng.fork(2));
        plan
    }

    fn draw_strikes(&mut self, rng: &mut Rng) {
        let chosen: Vec<usize> = (0..faults::ALL.len()).filter(|_| rng.permille(350)).collect();
        if chosen.is_empty() {
            return;
        }
        let pause_us = *rng.pick(&[300_000, 1_000_000]).unwrap_or(&1_000_000);
        let mut at_us = rng.between(100_000, 800_000);
        while at_us < self.length_us {
            let fault = *rng.pick(&chosen).unwrap_or(&chosen[0]);
            let times = if rng.permille(250) { rng.between(3, 6) } else { 1 };
            for _ in 0..times {
                let length_us = if times > 1 { rng.between(5_000, 300_000) } else { rng.between(20_000, 1_500_000) };
                self.strikes.push(Strike { at_us, length_us, fault, seed: rng.draw() });
                at_us += rng.between(1_000, 100_000);
            }
            at_us += rng.between(pause_us / 4, 2 * pause_us);
        }
    }
}
