//! Nodes and pods under wall clocks that jump: how long something has been so is measured by the steady clock.

#![allow(missing_docs)]

mod driven;

use api_kinds::time;
use serde_json::{Value, json};
use server_control::{Intent, Moment};

use driven::Driven;

const SECOND_US: i64 = 1_000_000;
const HOUR_S: i64 = 3600;
/// What the leader's wall clock shows when its term begins.
const BEGUN_S: i64 = 1_800_000_000;

/// A manager in its term.
struct Manager {
    driven: Driven,
    /// How far the leader's wall clock has jumped.
    jumped_s: i64,
}

impl Manager {
    fn new() -> Self {
        Self { driven: Driven::new(), jumped_s: 0 }
    }

    fn sees(&mut self, key: &str, object: &Value) {
        self.driven.sees(key, object);
    }

    /// What a controller wants so many seconds into the term. Nothing is carried out.
    fn wants(&mut self, controller: &str, at_s: i64) -> Vec<Intent> {
        let moment = Moment { wall_us: (BEGUN_S + self.jumped_s + at_s) * SECOND_US, steady_us: at_s * SECOND_US };
        let works = std::iter::from_fn(|| self.driven.runner.next(moment));
        works.filter(|work| work.controller.name == controller).flat_map(|work| work.plan.intents).collect()
    }

    /// The node's Lease, renewed at this time by the node's clock.
    fn sees_lease(&mut self, renewed_s: i64) {
        let lease = json!({"metadata": {"name": "n1", "namespace": "kube-node-lease", "uid": "lease"},
            "spec": {"renewTime": time::rfc3339_micro(renewed_s * SECOND_US)}});
        self.sees("coordination.k8s.io/leases/kube-node-lease/n1", &lease);
    }

    /// The node, which said this of itself last at the beginning.
    fn sees_node(&mut self, taints: &Value) {
        let ready = json!({"type": "Ready", "status": "True", "lastHeartbeatTime": time::rfc3339(BEGUN_S * SECOND_US)});
        let node = json!({"metadata": {"name": "n1", "uid": "n1"}, "spec": {"taints": taints},
            "status": {"conditions": [ready]}});
        self.sees("core/nodes/n1", &node);
    }

    fn calls_unknown(&mut self, at_s: i64) -> bool {
        let wanted = self.wants("node-lifecycle-controller", at_s);
        wanted.iter().any(|intent| matches!(intent, Intent::PatchStatus { .. }))
    }

    fn evicts(&mut self, at_s: i64) -> bool {
        let wanted = self.wants("taint-eviction-controller", at_s);
        wanted.iter().any(|intent| matches!(intent, Intent::Delete { .. }))
    }
}

#[test]
fn a_node_is_unknown_when_it_was_silent_for_fifty_seconds_whatever_the_wall_clock_says() {
    for jump_s in [0, HOUR_S, -HOUR_S, 51] {
        let mut manager = Manager::new();
        manager.sees_lease(BEGUN_S);
        manager.sees_node(&Value::Null);
        assert!(!manager.calls_unknown(0), "it was heard just now");
        manager.jumped_s = jump_s;
        // Something about it changes, so that it is looked at after the jump.
        manager.sees_node(&Value::Null);
        assert!(!manager.calls_unknown(1), "it was heard a second before a jump of {jump_s} s");
        assert!(!manager.calls_unknown(49), "its time is not over after a jump of {jump_s} s");
        assert!(manager.calls_unknown(50), "it was silent, beside a jump of {jump_s} s");
    }
}

#[test]
fn a_node_lives_that_renews_its_lease_whatever_its_own_clock_says() {
    for wrong_s in [0, -HOUR_S, HOUR_S] {
        let mut manager = Manager::new();
        manager.sees_node(&Value::Null);
        for at_s in (0..200).step_by(10) {
            manager.sees_lease(BEGUN_S + wrong_s + at_s);
            assert!(!manager.calls_unknown(at_s), "after {at_s} s with a clock {wrong_s} s wrong");
        }
        assert!(manager.calls_unknown(240), "it was silent, with a clock {wrong_s} s wrong");
    }
}

#[test]
fn a_new_manager_gives_a_node_its_whole_time() {
    let mut manager = Manager::new();
    manager.sees_lease(BEGUN_S - HOUR_S);
    manager.sees_node(&Value::Null);
    for (at_s, expected) in [(0, false), (49, false), (50, true)] {
        assert_eq!(manager.calls_unknown(at_s), expected, "{at_s} s into the term");
    }
}

fn unreachable() -> Value {
    json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute",
        "timeAdded": time::rfc3339(BEGUN_S * SECOND_US)}])
}

/// A pod on the node that tolerates every taint for so long.
fn pod(seconds: i64) -> Value {
    json!({"metadata": {"name": "p", "namespace": "default", "uid": "p"},
        "spec": {"nodeName": "n1", "tolerations": [{"operator": "Exists", "tolerationSeconds": seconds}]},
        "status": {"phase": "Running"}})
}

#[test]
fn a_pod_stays_as_long_as_it_tolerates_a_taint_whatever_the_wall_clock_says() {
    for jump_s in [0, HOUR_S, -HOUR_S] {
        let mut manager = Manager::new();
        manager.sees_node(&unreachable());
        manager.sees("core/pods/default/p", &pod(300));
        assert!(!manager.evicts(0), "it was tainted just now");
        manager.jumped_s = jump_s;
        manager.sees_node(&unreachable());
        assert!(!manager.evicts(1), "a jump of {jump_s} s is no reason to leave");
        assert!(!manager.evicts(299), "its time is not over after a jump of {jump_s} s");
        assert!(manager.evicts(300), "its time is over, beside a jump of {jump_s} s");
    }
}

#[test]
fn a_taint_that_went_and_comes_again_counts_anew() {
    let mut manager = Manager::new();
    manager.sees("core/pods/default/p", &pod(300));
    for (at_s, taints, expected) in [
        (0, unreachable(), false),
        (200, json!([]), false),
        (290, unreachable(), false),
        (310, unreachable(), false),
        (589, unreachable(), false),
        (590, unreachable(), true),
    ] {
        manager.sees_node(&taints);
        assert_eq!(manager.evicts(at_s), expected, "after {at_s} s");
    }
}
