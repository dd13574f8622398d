//! What controllers read of ReplicaSets and Deployments.

use std::sync::Arc;

use api_kinds::selector::Selector;
use serde_json::Value;

use super::Meta;

/// A ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaSet {
    /// Metadata.
    pub meta: Arc<Meta>,
    /// `spec.replicas`
    pub replicas: i64,
    /// `spec.minReadySeconds`
    pub min_ready_s: i64,
    /// `spec.selector`
    pub selector: Selector,
    /// The whole object.
    pub object: Arc<Value>,
}

/// A Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deployment {
    /// Metadata.
    pub meta: Arc<Meta>,
    /// `spec.replicas`
    pub replicas: i64,
    /// `spec.minReadySeconds`
    pub min_ready_s: i64,
    /// `spec.selector`
    pub selector: Selector,
    /// `spec.paused`
    pub paused: bool,
    /// Bounds of a rolling update; `None` for Recreate.
    pub rolling: Option<RollingUpdate>,
    /// `spec.revisionHistoryLimit`
    pub history_limit: usize,
    /// `spec.progressDeadlineSeconds`
    pub progress_deadline_s: i64,
    /// The whole object.
    pub object: Arc<Value>,
}

/// Bounds of a rolling update, in pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollingUpdate {
    /// Pods above the desired number.
    pub surge: i64,
    /// Pods below it.
    pub unavailable: i64,
}

impl ReplicaSet {
    /// Reads a ReplicaSet.
    pub fn read(object: Value, meta: Arc<Meta>) -> Self {
        let selector = Selector::from_object(&object["spec"]["selector"]);
        Self::of(Arc::new(object), meta, selector)
    }

    /// Reads a ReplicationController, which differs in its selector alone.
    pub fn of_controller(object: &Arc<Value>, meta: Arc<Meta>) -> Self {
        Self::of(object.clone(), meta, Selector::from_map(&object["spec"]["selector"]))
    }

    fn of(object: Arc<Value>, meta: Arc<Meta>, selector: Selector) -> Self {
        let spec = &object["spec"];
        Self {
            meta,
            replicas: spec["replicas"].as_i64().unwrap_or(1),
            min_ready_s: spec["minReadySeconds"].as_i64().unwrap_or(0),
            selector,
            object,
        }
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.object["metadata"]["annotations"][name].as_str()
    }
}

impl Deployment {
    /// Reads a Deployment.
    pub fn read(object: Value, meta: Arc<Meta>) -> Self {
        let spec = &object["spec"];
        let replicas = spec["replicas"].as_i64().unwrap_or(1);
        let rolling = (spec["strategy"]["type"] != "Recreate").then(|| {
            let bounds = &spec["strategy"]["rollingUpdate"];
            let surge = amount(&bounds["maxSurge"], replicas, true);
            let unavailable = amount(&bounds["maxUnavailable"], replicas, false).min(replicas);
            // Both may round to nothing; then one may be missing, or nothing would ever move.
            RollingUpdate { surge, unavailable: if surge == 0 && unavailable == 0 { 1 } else { unavailable } }
        });
        Self {
            meta,
            replicas,
            min_ready_s: spec["minReadySeconds"].as_i64().unwrap_or(0),
            selector: Selector::from_object(&spec["selector"]),
            paused: spec["paused"] == true,
            rolling,
            history_limit: spec["revisionHistoryLimit"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(10),
            progress_deadline_s: spec["progressDeadlineSeconds"].as_i64().unwrap_or(600),
            object: Arc::new(object),
        }
    }
}

/// A number of pods, or a share of the desired ones: surge rounds up, unavailable down.
fn amount(value: &Value, replicas: i64, up: bool) -> i64 {
    match value {
        Value::String(text) => {
            let share: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let scaled = replicas * share;
            if up { (scaled + 99) / 100 } else { scaled / 100 }
        }
        number => number.as_i64().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_round_as_kubernetes_rounds_them() {
        for (value, replicas, surge, unavailable) in
            [(json!("25%"), 10, 3, 2), (json!("25%"), 4, 1, 1), (json!(2), 10, 2, 2), (json!("25%"), 1, 1, 0)]
        {
            assert_eq!(
                (amount(&value, replicas, true), amount(&value, replicas, false)),
                (surge, unavailable),
                "{value}"
            );
        }
    }
}
