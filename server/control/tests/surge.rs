//! A Deployment's bounds beside ReplicaSets whose pods are about to be made: what was begun counts before anybody sees it.

#![allow(missing_docs)]

mod driven;

use serde_json::{Value, json};
use server_control::runner::Done;
use server_control::{Intent, Moment, Work};

use driven::Driven;

const NOW: Moment = Moment { wall_us: 1_800_000_000_000_000, steady_us: 0 };

fn template(version: u64) -> Value {
    json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": format!("i:{version}")}]}})
}

fn owned(kind: &str, name: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true}])
}

/// Five pods, one more and one less while it rolls, and this version is asked for.
fn deployment(version: u64) -> Value {
    json!({"metadata": {"name": "d", "namespace": "default", "uid": "d", "generation": version},
        "spec": {"replicas": 5, "selector": {"matchLabels": {"app": "a"}}, "template": template(version),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}}})
}

fn set(version: u64, replicas: u64) -> Value {
    let name = format!("s{version}");
    let mut template = template(version);
    template["metadata"]["labels"]["pod-template-hash"] = name.clone().into();
    let labels = &template["metadata"]["labels"];
    json!({"metadata": {"name": name, "namespace": "default", "uid": name, "labels": labels, "ownerReferences": owned("Deployment", "d"),
            "annotations": {"deployment.kubernetes.io/revision": version.to_string()}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}})
}

/// A pod of a version; one that serves, or has just been made.
fn pod(version: u64, number: u64, serves: bool) -> Value {
    let (set, name) = (format!("s{version}"), format!("s{version}-{number}"));
    let ready = if serves { "True" } else { "False" };
    json!({"metadata": {"name": name, "namespace": "default", "uid": name, "ownerReferences": owned("ReplicaSet", &set),
            "labels": {"app": "a", "pod-template-hash": set}},
        "spec": {}, "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
}

/// What one controller plans about one key, if anything. What others plan counts as carried out.
fn plan(driven: &mut Driven, controller: &str, name: &str) -> Option<Work> {
    let works: Vec<Work> = std::iter::from_fn(|| driven.runner.next(NOW)).collect();
    let mut found = None;
    for work in works {
        if work.controller.name == controller && work.key.name == name {
            found = Some(work);
        } else {
            driven.runner.done(work.row, work.key, Done::default(), NOW.steady_us);
        }
    }
    found
}

/// To how many pods a plan resizes a ReplicaSet.
fn resized(work: &Work, name: &str) -> Option<i64> {
    work.plan.intents.iter().find_map(|intent| match intent {
        Intent::Patch { target, patch, .. } if target.name == name => patch["spec"]["replicas"].as_i64(),
        _ => None,
    })
}

/// Four pods of the first version serve. Two of the second are being made, by the plan given back; that version has been told to
/// have none since, and a third is to grow.
fn rolled_twice() -> (Driven, Work) {
    let mut driven = Driven::new();
    driven.sees("apps/replicasets/default/s1", &set(1, 4));
    (0..4).for_each(|number| driven.sees(&format!("core/pods/default/s1-{number}"), &pod(1, number, true)));
    driven.sees("apps/replicasets/default/s2", &set(2, 2));
    let making = plan(&mut driven, "replicaset-controller", "s2").expect("two pods to make");
    let made = making.plan.intents.iter().filter(|intent| matches!(intent, Intent::Create { .. })).count();
    assert_eq!(made, 2);
    driven.sees("apps/replicasets/default/s2", &set(2, 0));
    driven.sees("apps/replicasets/default/s3", &set(3, 0));
    driven.sees("apps/deployments/default/d", &deployment(3));
    assert!(plan(&mut driven, "deployment-controller", "d").is_none(), "nobody knows how many pods there are");
    (driven, making)
}

#[test]
fn pods_on_their_way_count_against_the_surge() {
    let (mut driven, making) = rolled_twice();
    // They are made, and the view does not show them yet.
    driven.runner.done(making.row, making.key, Done { revision: 1_000, failed: false }, NOW.steady_us);
    assert!(plan(&mut driven, "deployment-controller", "d").is_none(), "what was made is still to be seen");
}

#[test]
fn a_deployment_goes_on_once_what_was_begun_is_seen() {
    let (mut driven, making) = rolled_twice();
    driven.sees("core/pods/default/s2-0", &pod(2, 0, false));
    driven.runner.done(making.row, making.key, Done::default(), NOW.steady_us);
    let rolling = plan(&mut driven, "deployment-controller", "d").expect("a pod of the third version fits in");
    assert_eq!(resized(&rolling, "s3"), Some(1), "four serve, one is still there, and six may be: {:?}", rolling.plan);
}
