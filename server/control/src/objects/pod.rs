//! What controllers read of a pod.

use std::borrow::Cow;
use std::sync::Arc;

use api_kinds::time;
use raft_state::Revision;
use serde::Deserialize;

use super::{Meta, meta};

/// `status.phase`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not running yet.
    #[default]
    Pending,
    /// Its node does not say.
    Unknown,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pod {
    /// Metadata.
    pub meta: Arc<Meta>,
    /// Its node; empty while unbound.
    pub node: Box<str>,
    /// Phase.
    pub phase: Phase,
    /// Since when it is ready, microseconds since the epoch.
    pub ready_since_us: Option<i64>,
    /// Its address.
    pub ip: Box<str>,
    /// Restarts of all containers.
    pub restarts: i64,
    /// `controller.kubernetes.io/pod-deletion-cost`
    pub deletion_cost: i64,
    /// Named container ports.
    pub ports: Box<[NamedPort]>,
    /// Tolerations, for evictions. Nearly all pods have the same.
    pub tolerations: Arc<[Toleration]>,
}

/// A container port with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NamedPort {
    /// Its name.
    pub name: Box<str>,
    /// Its number.
    #[serde(rename = "containerPort")]
    pub number: i64,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
}

/// One toleration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Toleration {
    /// Empty for every taint.
    pub key: Box<str>,
    /// `Exists`, or `Equal`.
    pub operator: Box<str>,
    /// What `Equal` compares with.
    pub value: Box<str>,
    /// Empty for every effect.
    pub effect: Box<str>,
    /// For how long; `None` for ever.
    #[serde(rename = "tolerationSeconds")]
    pub seconds: Option<i64>,
}

/// A pod as it is written. Everything else is passed over without being decoded.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    metadata: meta::Wire<'a>,
    #[serde(borrow, default)]
    spec: Spec<'a>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow)]
    node_name: Cow<'a, str>,
    containers: Vec<Container>,
    tolerations: Vec<Toleration>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<NamedPort>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow)]
    phase: Cow<'a, str>,
    #[serde(borrow, rename = "podIP")]
    pod_ip: Cow<'a, str>,
    #[serde(borrow)]
    conditions: Vec<Condition<'a>>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    last_transition_time: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    restart_count: i64,
}

impl Pod {
    /// Reads a stored pod; `None` when the bytes are none.
    pub fn read(bytes: &[u8], revision: Revision) -> Option<Self> {
        let Wire { metadata, spec, status } = serde_json::from_slice(bytes).ok()?;
        let ready = status.conditions.iter().find(|c| c.kind == "Ready" && c.status == "True");
        let phase = match &*status.phase {
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            "Unknown" => Phase::Unknown,
            _ => Phase::Pending,
        };
        let ports = spec.containers.into_iter().flat_map(|c| c.ports).filter(|port| !port.name.is_empty());
        let cost = metadata.annotations.pod_deletion_cost.as_deref();
        Some(Self {
            node: spec.node_name.into(),
            phase,
            ready_since_us: ready.map(|c| c.last_transition_time.as_deref().and_then(time::parse).unwrap_or(0)),
            ip: status.pod_ip.into(),
            restarts: status.container_statuses.iter().map(|c| c.restart_count).sum(),
            deletion_cost: cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
            ports: ports.collect(),
            tolerations: spec.tolerations.into(),
            meta: Arc::new(Meta::of(metadata, revision)),
        })
    }

    /// Neither ended nor being deleted.
    pub fn active(&self) -> bool {
        !self.meta.deleting && !self.finished()
    }

    /// Ended for good.
    pub fn finished(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Ready and not being deleted.
    pub fn ready(&self) -> bool {
        self.ready_since_us.is_some() && self.active()
    }

    /// Ready for so many seconds.
    pub fn available(&self, min_ready_s: i64, now_us: i64) -> bool {
        self.active()
            && self.ready_since_us.is_some_and(|since| since + min_ready_s * 1_000_000 <= now_us || min_ready_s == 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_read_from_its_bytes() {
        let bytes = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "labels": {"x": "y"}, "deletionTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5", "other": "{\"a\":\"b\"}"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "o", "controller": true}],
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {
                "nodeName": "n1",
                "containers": [{"name": "c", "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}, {"containerPort": 81}]}],
                "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "1970-01-01T00:00:02Z"}],
                "containerStatuses": [{"restartCount": 2}, {"restartCount": 1}],
            },
        })
        .to_string();
        let pod = Pod::read(bytes.as_bytes(), 7).unwrap();
        assert_eq!((&*pod.meta.name, &*pod.meta.namespace, pod.meta.revision, pod.meta.deleting), ("a", "n", 7, true));
        assert_eq!((pod.meta.labels.get("x"), pod.meta.controller().map(|o| &*o.uid)), (Some("y"), Some("o")));
        assert_eq!((&*pod.node, &*pod.ip, pod.phase), ("n1", "10.0.0.1", Phase::Running));
        assert_eq!((pod.ready_since_us, pod.restarts, pod.deletion_cost), (Some(2_000_000), 3, -5));
        assert_eq!(
            pod.ports.iter().map(|p| (&*p.name, p.number, &*p.protocol)).collect::<Vec<_>>(),
            [("http", 80, "TCP")]
        );
        assert_eq!(pod.tolerations.iter().map(|t| (&*t.key, t.seconds)).collect::<Vec<_>>(), [("k", Some(300))]);
        assert_eq!(Pod::read(b"{}", 1), None);
    }
}
