//! Events are kept for an hour.

use api_kinds::core::event::EVENT;

use crate::{Change, Controller, Deletion, Intent, Key, Now, Plan, Target, View};

pub(super) static CONTROLLER: Controller = Controller::new("event-ttl-controller", wakes, reconcile);

const TTL_US: i64 = 3_600_000_000;

fn wakes(_: &View, change: &Change) -> Vec<Key> {
    if change.is(&EVENT) && change.new.is_some() { vec![change.key.clone()] } else { Vec::new() }
}

fn reconcile(view: &View, key: &Key, now: &Now) -> Plan {
    let now_us = now.wall_us;
    let mut plan = Plan::default();
    let (Some(&last), Some(meta)) = (view.events.get(key), view.meta(&EVENT, key)) else { return plan };
    if now_us >= last + TTL_US {
        let deletion = Deletion { uid: Some(meta.uid.clone()), ..Deletion::default() };
        plan.push(Intent::Delete { target: Target::of(&EVENT, &key.namespace, &key.name), deletion });
    } else {
        plan.again_at(last + TTL_US);
    }
    plan
}
