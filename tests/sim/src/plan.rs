//! What a seed stands for: the size of the cluster, its speed, the faults that befall it and the work that it is given.
//! Swarm testing (Groce et al., ISSTA 2012): each seed leaves most faults and workloads out, for together they mask each
//! other.

use crate::consensus::Timing;
use crate::faults;
use crate::net::Weather;
use crate::rng::Rng;
use crate::workloads::{self, Needs};

/// One fault, from its beginning to its end.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// When, microseconds.
    pub at_us: u64,
    /// For how long.
    pub length_us: u64,
    /// Row of [`faults::ALL`].
    pub fault: usize,
    /// Draws its victims.
    pub seed: u64,
}

/// A world to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Voters at the beginning.
    pub members: u64,
    /// How fast consensus is.
    pub timing: Timing,
    /// The network between the faults.
    pub weather: Weather,
    /// How long a sync takes.
    pub sync_us: (u64, u64),
    /// Whether a crash may leave part of what was not synced.
    pub torn: bool,
    /// Between two flushes of the state.
    pub flush_us: u64,
    /// Log entries kept below a flush.
    pub keep: u64,
    /// In order of time.
    pub strikes: Vec<Strike>,
    /// Rows of [`workloads::ALL`], each with how much of it.
    pub workloads: Vec<(usize, u64)>,
    /// Faults and work end then.
    pub length_us: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let members = *rng.pick(&[3, 3, 3, 5, 1]).unwrap_or(&3);
        let length_us = rng.between(4_000_000, 10_000_000);
        let slow = rng.permille(200);
        let election = if slow { 600_000 } else { 150_000 };
        // A narrow spread makes candidates meet in one term.
        let spread = if rng.permille(300) { election / 4 } else { election };
        let timing = Timing { heartbeat_us: election / 5, election_us: (election, election + spread) };
        let weather = Weather {
            delay_us: *rng.pick(&[(100, 1_000), (200, 5_000), (1_000, 20_000)]).unwrap_or(&(100, 1_000)),
            overtaking: rng.permille(500),
            ..Weather::default()
        };
        let mut plan = Self {
            seed,
            members,
            timing,
            weather,
            sync_us: *rng.pick(&[(50, 500), (500, 5_000), (2_000, 30_000)]).unwrap_or(&(50, 500)),
            torn: rng.permille(500),
            flush_us: *rng.pick(&[50_000, 300_000, 2_000_000]).unwrap_or(&300_000),
            keep: *rng.pick(&[0, 5, 50]).unwrap_or(&5),
            strikes: Vec::new(),
            workloads: Vec::new(),
            length_us,
        };
        plan.workloads = draw_workloads(&mut rng.fork(1), |needs| needs != Needs::Keepers);
        plan.draw_strikes(&mut rng.fork(2));
        plan
    }

    fn draw_strikes(&mut self, rng: &mut Rng) {
        let chosen: Vec<usize> = (0..faults::ALL.len()).filter(|_| rng.permille(350)).collect();
        if chosen.is_empty() {
            return;
        }
        let pause_us = *rng.pick(&[300_000, 1_000_000, 2_500_000]).unwrap_or(&1_000_000);
        let mut at_us = rng.between(200_000, 1_500_000);
        while at_us < self.length_us {
            let fault = *rng.pick(&chosen).unwrap_or(&chosen[0]);
            // Some come in bursts, a fraction of an election apart.
            let times = if rng.permille(250) { rng.between(3, 8) } else { 1 };
            for _ in 0..times {
                let length_us = if times > 1 { rng.between(5_000, 300_000) } else { rng.between(20_000, 2_000_000) };
                self.strikes.push(Strike { at_us, length_us, fault, seed: rng.draw() });
                at_us += rng.between(1_000, self.timing.election_us.0 / 2);
            }
            at_us += rng.between(pause_us / 4, 2 * pause_us);
        }
    }
}

/// Rows of [`workloads::ALL`], each with how much of it.
pub(crate) fn draw_workloads(rng: &mut Rng, is_met: fn(Needs) -> bool) -> Vec<(usize, u64)> {
    let mut drawn = Vec::new();
    for (row, workload) in workloads::ALL.iter().enumerate().filter(|(_, workload)| is_met(workload.needs)) {
        if rng.permille(workload.chance_permille) {
            drawn.push((row, rng.between(1, workload.most)));
        }
    }
    if drawn.is_empty() {
        drawn.push((0, 2));
    }
    drawn
}
