//! ReplicationControllers: as ReplicaSets, but for how they select.

use api_kinds::core::replication_controller::REPLICATION_CONTROLLER;

use super::replica_set;
use crate::objects::ReplicaSet;
use crate::{Change, Controller, Key, Now, Plan, View};

pub(super) static CONTROLLER: Controller = Controller::new("replication-controller", wakes, reconcile);

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    replica_set::wakes_of(change, &REPLICATION_CONTROLLER, |meta| {
        let keys = view.list(&REPLICATION_CONTROLLER, &meta.namespace).map(|(key, _)| key.clone());
        let sets = keys.filter_map(|key| Some((read(view, &key)?, key)));
        sets.filter(|(set, _)| set.selector.matches(|label| meta.labels.get(label))).map(|(_, key)| key).collect()
    })
}

fn reconcile(view: &View, key: &Key, now: &Now) -> Plan {
    let now_us = now.wall_us;
    match read(view, key) {
        Some(set) => replica_set::plan(view, &REPLICATION_CONTROLLER, &set, now_us),
        None => Plan::default(),
    }
}

fn read(view: &View, key: &Key) -> Option<ReplicaSet> {
    let object = view.get(&REPLICATION_CONTROLLER, key)?;
    Some(ReplicaSet::of_controller(object, view.meta(&REPLICATION_CONTROLLER, key)?.clone()))
}
