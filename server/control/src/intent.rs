//! What a controller wants done, as values.

use raft_state::Revision;
use serde_json::Value;

use crate::Sight;

/// What came of one reconcile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// To be carried out; the order among them carries no meaning.
    pub intents: Vec<Intent>,
    /// Look at the key again at this time, microseconds since the epoch, even if nothing changes.
    pub again_at_us: Option<i64>,
    /// What was seen of the key: the next look at it in this term is told.
    pub sight: Option<Sight>,
}

/// An object by address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// API group, empty for core.
    pub group: &'static str,
    /// `pods`
    pub plural: &'static str,
    /// Empty for cluster-wide kinds.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

impl Target {
    /// An object of a kind.
    pub fn of(kind: &'static api_kinds::Kind, namespace: &str, name: &str) -> Self {
        Self { group: kind.group, plural: kind.plural, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl Plan {
    /// Adds an intent.
    pub fn push(&mut self, intent: Intent) {
        self.intents.push(intent);
    }

    /// Adds a patch of an object as the plan's view has it. One that was planned before on the same view is joined with it:
    /// the first of two would void the other.
    pub fn patch(&mut self, target: Target, at: Revision, mut patch: Value) {
        let same = |intent: &Intent| matches!(intent, Intent::Patch { target: t, at: a, .. } if *t == target && *a == Some(at));
        if let Some(place) = self.intents.iter().position(same)
            && let Intent::Patch { patch: mut earlier, .. } = self.intents.remove(place)
        {
            join(&mut earlier, patch);
            patch = earlier;
        }
        self.push(Intent::Patch { target, at: Some(at), patch });
    }

    /// Looks again at this time, or earlier if that was planned already.
    pub fn again_at(&mut self, at_us: i64) {
        self.again_at_us = Some(self.again_at_us.map_or(at_us, |planned| planned.min(at_us)));
    }
}

/// Makes one merge patch of two. Nulls stay: they remove something.
fn join(patch: &mut Value, later: Value) {
    match (patch, later) {
        (Value::Object(patch), Value::Object(later)) => {
            for (field, value) in later {
                match patch.get_mut(&field) {
                    Some(earlier) => join(earlier, value),
                    None => drop(patch.insert(field, value)),
                }
            }
        }
        (patch, later) => *patch = later,
    }
}

/// One API request of a controller.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// Create; `metadata.generateName` is resolved by the shell. AlreadyExists counts as done.
    Create {
        /// Kind and namespace; the name is empty when the object has a generateName.
        target: Target,
        /// The whole object.
        object: Value,
    },
    /// Replace the object, if it still has this revision; a conflict only wakes the key again.
    Update {
        /// Whom.
        target: Target,
        /// The revision that the decision was made on.
        at: Revision,
        /// The whole new object.
        object: Value,
    },
    /// JSON merge patch of the main resource, if it still has this revision when one is given.
    Patch {
        /// Whom.
        target: Target,
        /// The revision that the decision was made on; `None` when the patch holds at any.
        at: Option<Revision>,
        /// RFC 7386.
        patch: Value,
    },
    /// JSON merge patch of the status subresource.
    PatchStatus {
        /// Whom.
        target: Target,
        /// As in `Patch`.
        at: Option<Revision>,
        /// RFC 7386; `{"status": …}`.
        patch: Value,
    },
    /// Delete.
    Delete {
        /// Whom.
        target: Target,
        /// How.
        deletion: Deletion,
    },
    /// Set the finalizers of a namespace's spec; without any, a namespace that is going is gone.
    Finalize {
        /// Whom.
        target: Target,
        /// What remains.
        finalizers: Vec<String>,
    },
    /// Bind a pod to a node (`pods/binding`): voided when the pod is bound, gone, or another incarnation.
    Bind {
        /// The pod.
        target: Target,
        /// Its uid.
        uid: String,
        /// The revision that the decision was made on.
        at: Revision,
        /// Where to.
        node: String,
    },
    /// Report an event (events.k8s.io/v1 and core/v1 share storage); equal ones are counted up in a series.
    /// Behind another intent it tells of that one, and is told once it is done.
    Event {
        /// About whom.
        regarding: Target,
        /// `Pod`, with its apiVersion and uid.
        kind: &'static str,
        /// `v1`, `apps/v1`
        api_version: &'static str,
        /// Of the object.
        uid: String,
        /// `Normal` or `Warning`
        severity: &'static str,
        /// `ScalingReplicaSet`
        reason: &'static str,
        /// For people.
        message: String,
    },
}

/// Options of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// Only this incarnation.
    pub uid: Option<String>,
    /// Only this revision.
    pub at: Option<Revision>,
    /// Seconds; `None` for the kind's default.
    pub grace_period_s: Option<i64>,
    /// `Foreground`, `Background`, `Orphan`; `None` for the kind's default.
    pub propagation: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_of_one_object_on_one_view_are_one() {
        let set = || Target::of(&api_kinds::apps::replica_set::REPLICA_SET, "a", "b");
        let mut plan = Plan::default();
        plan.patch(set(), 7, json!({"metadata": {"annotations": {"x": "1", "y": null}}}));
        plan.patch(set(), 8, json!({"spec": {"paused": true}}));
        plan.patch(set(), 7, json!({"metadata": {"annotations": {"x": "2", "z": "3"}}, "spec": {"replicas": 3}}));
        let joined = json!({"metadata": {"annotations": {"x": "2", "y": null, "z": "3"}}, "spec": {"replicas": 3}});
        let patch = |at, patch| Intent::Patch { target: set(), at: Some(at), patch };
        assert_eq!(plan.intents, [patch(8, json!({"spec": {"paused": true}})), patch(7, joined)]);
    }
}
