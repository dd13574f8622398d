//! What nobody owns any more goes; what is deleted in the foreground waits for what it owns.

use crate::objects::Meta;
use crate::view::Found;
use crate::{Change, Controller, Deletion, Intent, Key, Now, Plan, Target, View};
use api_kinds::{Kind, registry};
use planted_bugs::planted;
use serde_json::json;

pub(super) static CONTROLLER: Controller = Controller::new("generic-garbage-collector", wakes, reconcile);

/// A key says which object: the namespace is `<kind index>/<namespace>`.
fn encode(kind: &'static Kind, key: &Key) -> Key {
    let index = registry::KINDS.iter().position(|k| std::ptr::eq(*k, kind)).unwrap_or_default();
    Key::new(format!("{index}/{}", key.namespace), &key.name)
}

fn decode(key: &Key) -> Option<(&'static Kind, Key)> {
    let (index, namespace) = key.namespace.split_once('/')?;
    let kind = registry::KINDS.get(index.parse::<usize>().ok()?)?;
    Some((kind, Key::new(namespace, &key.name)))
}

fn wakes(view: &View, change: &Change) -> Vec<Key> {
    let mut keys = Vec::new();
    match &change.new {
        Some(meta) => {
            if !meta.owners.is_empty() || meta.deleting {
                keys.push(encode(change.kind, &change.key));
            }
        }
        None => {
            let uid = change.old.as_ref().map_or("", |meta| meta.uid.as_str());
            keys.extend(view.dependents(uid).map(|(id, key)| encode(id.kind(), key)));
        }
    }
    // An owner that waits in the foreground looks again whenever something of its goes.
    for owner in change.old.iter().filter(|_| change.new.is_none()).flat_map(|meta| &meta.owners) {
        if let Found::Alive((id, key), _) = view.owner(&change.key.namespace, owner) {
            keys.push(encode(id.kind(), &key));
        }
    }
    // What an owner in the foreground owns is to go too.
    if let Some(meta) = change.new.as_ref().filter(|meta| meta.deleting) {
        keys.extend(view.dependents(&meta.uid).map(|(id, key)| encode(id.kind(), key)));
    }
    keys
}

fn reconcile(view: &View, key: &Key, _now: &Now) -> Plan {
    let mut plan = Plan::default();
    let Some((kind, key)) = decode(key) else { return plan };
    let Some(meta) = view.meta(kind, &key) else { return plan };
    let target = Target::of(kind, &key.namespace, &key.name);
    if meta.deleting {
        release(view, meta, target, &mut plan);
        return plan;
    }
    if meta.owners.is_empty() {
        return plan;
    }
    let (mut waited_for, mut is_kept) = (false, false);
    for owner in &meta.owners {
        match view.owner(&key.namespace, owner) {
            Found::Alive(_, owner) if owner.deleting && owner.finalizers.iter().any(|f| f == "foregroundDeletion") => {
                waited_for = true;
            }
            // Whether an owner of an unknown kind lives cannot be told from here: nothing of its goes.
            Found::Alive(..) | Found::Unknowable => is_kept = true,
            Found::Gone => {}
        }
    }
    if is_kept && !planted!(LivingOwnerForgotten) {
        return plan;
    }
    let propagation = if waited_for { "Foreground" } else { "Background" };
    plan.push(Intent::Delete {
        target,
        deletion: Deletion { uid: Some(meta.uid.clone()), propagation: Some(propagation), ..Deletion::default() },
    });
    plan
}

/// Takes the garbage collector's own finalizers off when what they stand for is done.
fn release(view: &View, meta: &Meta, target: Target, plan: &mut Plan) {
    let has = |name: &str| meta.finalizers.iter().any(|f| f == name);
    let dependents: Vec<_> = view.dependents(&meta.uid).collect();
    let done = if has("orphan") {
        for (id, key) in &dependents {
            let Some(dependent) = view.meta(id.kind(), key) else { continue };
            let owners: Vec<_> = dependent.owners.iter().filter(|o| o.uid != meta.uid).map(reference).collect();
            plan.push(Intent::Patch {
                target: Target::of(id.kind(), &key.namespace, &key.name),
                at: Some(dependent.revision),
                patch: json!({"metadata": {"ownerReferences": owners}}),
            });
        }
        dependents.is_empty()
    } else if has("foregroundDeletion") {
        !dependents.iter().any(|(id, key)| {
            view.meta(id.kind(), key).is_some_and(|d| d.owners.iter().any(|o| o.uid == meta.uid && o.blocks))
        })
    } else {
        return;
    };
    if done {
        let finalizers: Vec<&String> =
            meta.finalizers.iter().filter(|f| *f != "orphan" && *f != "foregroundDeletion").collect();
        plan.push(Intent::Patch {
            target,
            at: Some(meta.revision),
            patch: json!({"metadata": {"finalizers": finalizers}}),
        });
    }
}

fn reference(owner: &crate::objects::Owner) -> serde_json::Value {
    json!({
        "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid,
        "controller": owner.controller, "blockOwnerDeletion": owner.blocks,
    })
}
