//! Worlds in which the consensus that ships runs: clean, and the same every time.
#![allow(clippy::print_stdout, reason = "how many worlds a machine lived through is the point of the run")]

use std::path::Path;
use std::time::{Duration, Instant};

use tests_sim::fleet::{Kind, Voyage};
use tests_sim::shrink::Cuts;

/// So many worlds, or as many as begin within this time.
const WORLDS: u64 = 250;
const FOR: Duration = Duration::from_secs(20);

fn shipped() -> Kind<'static> {
    Kind::Shipped(Path::new(env!("CARGO_BIN_EXE_sim")))
}

#[test]
fn worlds_with_the_consensus_that_ships_are_clean() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (kind, until) = (shipped(), Some(Instant::now() + FOR));
    let fleet = Voyage { kind, from: 1, seeds: WORLDS, until, threads, bug: None, clients: None, told: None }.sail();
    println!("{} worlds, {} writes, {} reads", fleet.worlds, fleet.work.writes, fleet.work.reads);
    assert_eq!(fleet.failed, None, "replay it: ./x sim --shipped SEED");
    // Worlds in which nothing happens prove nothing.
    assert!(fleet.worlds > 10 && fleet.work.writes > fleet.worlds * 20 && fleet.work.reads > fleet.worlds * 5);
}

#[test]
fn a_seed_gives_the_same_world_every_time() {
    let life = |seed| shipped().one(seed, &Cuts::default(), None, usize::MAX);
    for seed in 1..8 {
        let (first, second) = (life(seed), life(seed));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.trace.hash(), second.trace.hash(), "seed {seed}, step by step");
        assert!(first.trace.steps().len() > 100, "seed {seed} is a world");
    }
    assert_ne!(life(1).hash, life(2).hash);
}
