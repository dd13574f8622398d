//! The scheduler as a whole.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn event(key: &str, object: &Value, revision: Revision, deleted: bool) -> Event {
    tests_solo::event(key, object.to_string().into_bytes(), revision, deleted)
}

fn node(name: &str, cpu_milli: i64, pods: i64) -> Event {
    let allocatable = json!({"cpu": format!("{cpu_milli}m"), "memory": "64Gi", "pods": pods.to_string()});
    let object = json!({"metadata": {"name": name}, "status": {"allocatable": allocatable}});
    event(&format!("/registry/core/nodes/{name}"), &object, 1, false)
}

fn pod(name: &str, cpu_milli: i64, priority: i32, revision: Revision) -> (String, Value) {
    let object = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": revision.to_string()},
        "spec": {"schedulerName": "default-scheduler", "priority": priority,
            "containers": [{"resources": {"requests": {"cpu": format!("{cpu_milli}m")}}}]},
    });
    (format!("/registry/core/pods/default/{name}"), object)
}

fn add(scheduler: &mut Scheduler, name: &str, cpu_milli: i64, priority: i32, revision: Revision) {
    let (key, object) = pod(name, cpu_milli, priority, revision);
    scheduler.on_event(&event(&key, &object, revision, false));
}

fn empty() -> Scheduler {
    Scheduler::new(&Snapshot::default(), 7)
}

#[test]
fn equal_pods_spread_evenly() {
    let mut scheduler = empty();
    (0..100).for_each(|i| scheduler.on_event(&node(&format!("n{i}"), 32_000, 110)));
    (0..1000).for_each(|i| add(&mut scheduler, &format!("p{i}"), 10, 0, 10 + i));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for bind in scheduler.schedule(0, 10_000).binds {
        *counts.entry(bind.node).or_default() += 1;
    }
    assert_eq!(counts.len(), 100);
    assert!(counts.values().all(|count| *count == 10), "{counts:?}");
}

#[test]
fn no_node_is_ever_over_its_capacity() {
    let mut state: u64 = 42;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut scheduler = empty();
    let mut alive: BTreeMap<String, (i64, Option<String>)> = BTreeMap::new();
    (0..10).for_each(|i| scheduler.on_event(&node(&format!("n{i}"), 4000, 12)));
    for step in 0..400_u64 {
        let now_us = i64::try_from(step).expect("small") * 2_000_000;
        for i in 0..random(4) {
            let (name, cpu) = (format!("p{step}-{i}"), 1 + i64::try_from(random(1500)).expect("small"));
            add(&mut scheduler, &name, cpu, 0, 10 + step);
            alive.insert(name, (cpu, None));
        }
        for bind in scheduler.schedule(now_us, 5).binds {
            let refused = random(5) == 0;
            scheduler.bound(&bind.uid, !refused, now_us);
            if refused {
                continue;
            }
            let known = alive.get_mut(&bind.uid).expect("alive");
            known.1 = Some(bind.node.clone());
            let (key, mut object) = pod(&bind.name, known.0, 0, step);
            object["spec"]["nodeName"] = bind.node.into();
            scheduler.on_event(&event(&key, &object, step, false));
        }
        if random(3) > 0
            && let Some(name) = alive.keys().nth(usize::try_from(random(20)).expect("small")).cloned()
        {
            let (cpu, _) = alive.remove(&name).expect("alive");
            let (key, object) = pod(&name, cpu, 0, step);
            scheduler.on_event(&event(&key, &object, step, true));
        }
        let mut used: BTreeMap<&str, (i64, usize)> = BTreeMap::new();
        for (cpu, node) in alive.values() {
            let Some(node) = node else { continue };
            let used = used.entry(node).or_default();
            *used = (used.0 + cpu, used.1 + 1);
        }
        assert!(used.values().all(|(cpu, pods)| *cpu <= 4000 && *pods <= 12), "{used:?}");
    }
}

#[test]
fn a_pod_that_fits_nowhere_says_why_and_is_tried_when_a_node_comes() {
    let mut scheduler = empty();
    add(&mut scheduler, "a", 2000, 0, 5);
    assert_eq!(scheduler.schedule(0, 10).failures[0].message, "no nodes available to schedule pods");
    scheduler.on_event(&node("small", 1000, 10));
    assert_eq!(scheduler.next_wake(), Some(1_000_000));
    let batch = scheduler.schedule(1_000_000, 10);
    let expected = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: \
                    1 Preemption is not helpful for scheduling.";
    assert_eq!((batch.failures[0].message.as_str(), batch.failures[0].first), (expected, false));
    scheduler.on_event(&node("big", 4000, 10));
    assert_eq!(scheduler.schedule(3_000_000, 10).binds[0].node, "big");
}

#[test]
fn the_cheapest_pods_make_room_for_a_higher_priority() {
    let mut scheduler = empty();
    for (i, priority) in [(1, 5), (2, 1)] {
        scheduler.on_event(&node(&format!("n{i}"), 1000, 10));
        add(&mut scheduler, &format!("low{i}"), 800, priority, 5);
        let bind = scheduler.schedule(0, 10).binds.remove(0);
        let (key, mut object) = pod(&bind.name, 800, priority, 5);
        object["spec"]["nodeName"] = bind.node.into();
        scheduler.on_event(&event(&key, &object, 6, false));
    }
    add(&mut scheduler, "high", 500, 10, 7);
    let batch = scheduler.schedule(0, 10);
    assert_eq!(batch.failures[0].nominated.as_deref(), Some("n2"));
    assert_eq!(batch.victims.iter().map(|v| v.uid.as_str()).collect::<Vec<_>>(), ["low2"]);
    let (key, object) = pod("low2", 800, 1, 8);
    scheduler.on_event(&event(&key, &object, 8, true));
    add(&mut scheduler, "thief", 600, 1, 9);
    let batch = scheduler.schedule(0, 10);
    assert!(batch.binds.is_empty(), "the room is kept: {batch:?}");
    assert_eq!(scheduler.schedule(2_000_000, 10).binds[0].node, "n2");
}
