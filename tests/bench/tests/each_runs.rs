//! Every benchmark that the README names runs to its end, at a size of seconds, and prints what it measured.
//!
//! What the figures are is nobody's business here: the machine is shared with other tests.

use std::process::Command;

#[track_caller]
fn check(args: &[&str], expected: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_tests-bench")).args(args).output().expect("the benchmarks");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {out}{err}");
    for words in expected {
        assert!(out.contains(words), "{args:?}: {words:?} is not in\n{out}{err}");
    }
}

#[test]
fn a_leader_is_killed_under_load() {
    check(&["failover", "--kills=1", "--writers=1"], &["\"lost\": 0", "\"applied_twice\": 0"]);
}

#[test]
fn all_masters_are_killed_at_once() {
    check(&["crash", "--crashes=1", "--writers=1"], &["\"lost\": 0", "\"applied_twice\": 0"]);
}

#[test]
fn a_deployment_rolls_while_leaders_die() {
    // Each pod takes longer than there is between two kills.
    check(
        &["rolling", "--replicas=6", "--nodes=2", "--kill-every-s=1", "--ready-delay-ms=1500"],
        &["\"most_not_terminating\"", "\"fewest_available\""],
    );
}

#[test]
fn the_api_is_measured_without_its_peer() {
    let sizes = ["--pods=20", "--gets=50", "--watchers=2", "--watched=3", "--deployed=20", "--agents=2"];
    check(
        &[&["api", "--alone"][..], &sizes].concat(),
        &["Deployment to bound, pods per second", "\"kubernetes\":null"],
    );
}

#[test]
fn the_store_is_measured_without_its_peer() {
    check(&["store", "--alone", "--seconds=0.05", "--only=put, 100 on 4"], &["trireme put, 100 on 4"]);
}

#[test]
fn watches_are_opened_by_the_thousand() {
    check(&["scale", "--size=0.0005", "--only=watches"], &["in order without a gap"]);
}
