//! Every bug that is planted for the simulator is found by it.
#![cfg(feature = "planted-bugs")]
#![allow(clippy::print_stdout, reason = "how many seeds each took is the point of the run")]

use std::path::Path;

use tests_sim::fleet::{Kind, Voyage, sail};
use tests_sim::workloads::ALL;

/// A bug must show within so many seeds.
const SEEDS_MAX: u64 = 1000;

/// The same where the consensus that ships runs: these worlds are larger.
const SHIPPED_SEEDS_MAX: u64 = 1000;

/// And where managers and nodes are: each takes a third of a second.
const MANAGERS_SEEDS_MAX: u64 = 100;

#[test]
fn every_planted_bug_is_found_where_the_consensus_that_ships_runs() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let kind = Kind::Shipped(Path::new(env!("CARGO_BIN_EXE_sim")));
    let mut missed = Vec::new();
    for bug in planted_bugs::ALL.iter().copied().filter(|bug| bug.machines().shipped) {
        let fleet = Voyage {
            kind,
            from: 1,
            seeds: SHIPPED_SEEDS_MAX,
            until: None,
            threads,
            bug: Some(bug),
            clients: None,
            told: None,
        }
        .sail();
        match fleet.failed {
            Some((seed, property)) => println!("{:<28} after {seed:>4} larger worlds: {property}", bug.name()),
            None => missed.push(bug.name()),
        }
    }
    assert!(missed.is_empty(), "not found within {SHIPPED_SEEDS_MAX} seeds: {missed:?}");
}

#[test]
fn every_planted_bug_is_found() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut missed = Vec::new();
    for bug in planted_bugs::ALL.iter().copied().filter(|bug| bug.machines().sim) {
        let fleet = sail(1, SEEDS_MAX, threads, Some(bug));
        match fleet.failed {
            Some((seed, property)) => println!("{:<28} after {seed:>4} seeds: {property}", bug.name()),
            None => missed.push(bug.name()),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS_MAX} seeds: {missed:?}");
}

#[test]
fn every_planted_bug_of_managers_is_found() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let row = ALL.iter().position(|workload| workload.name == "deployments").expect("a workload");
    let (kind, seeds, clients) = (Kind::Small, MANAGERS_SEEDS_MAX, [(row, 2)]);
    let mut missed = Vec::new();
    for bug in planted_bugs::ALL.iter().copied().filter(|bug| bug.machines().managers) {
        let clients = Some(clients.as_slice());
        let fleet = Voyage { kind, from: 1, seeds, until: None, threads, bug: Some(bug), clients, told: None }.sail();
        match fleet.failed {
            Some((seed, property)) => println!("{:<28} after {seed:>4} worlds with managers: {property}", bug.name()),
            None => missed.push(bug.name()),
        }
    }
    assert!(missed.is_empty(), "not found within {MANAGERS_SEEDS_MAX} seeds: {missed:?}");
}
