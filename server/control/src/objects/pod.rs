//! What controllers read of a pod.

use api_kinds::time;
use raft_state::Revision;
use serde_json::Value;

use super::Meta;

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
    pub meta: Meta,
    /// Its node; empty while unbound.
    pub node: String,
    /// Phase.
    pub phase: Phase,
    /// Since when it is ready, microseconds since the epoch.
    pub ready_since_us: Option<i64>,
    /// Its address.
    pub ip: String,
    /// Restarts of all containers.
    pub restarts: i64,
    /// `controller.kubernetes.io/pod-deletion-cost`
    pub deletion_cost: i64,
    /// Named container ports: name, number, protocol.
    pub ports: Vec<(String, i64, String)>,
    /// Tolerations, for evictions.
    pub tolerations: Vec<Value>,
}

impl Pod {
    /// Reads a pod.
    pub fn read(object: &Value, revision: Revision) -> Self {
        let (spec, status) = (&object["spec"], &object["status"]);
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let conditions = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        let ready = conditions.iter().find(|c| c["type"] == "Ready" && c["status"] == "True");
        let phase = match status["phase"].as_str() {
            Some("Running") => Phase::Running,
            Some("Succeeded") => Phase::Succeeded,
            Some("Failed") => Phase::Failed,
            Some("Unknown") => Phase::Unknown,
            _ => Phase::Pending,
        };
        let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
        let ports = containers
            .iter()
            .flat_map(|c| c["ports"].as_array().into_iter().flatten())
            .filter(|port| port["name"].is_string())
            .map(|port| (text(port, "name"), port["containerPort"].as_i64().unwrap_or(0), text(port, "protocol")))
            .collect();
        let cost = &object["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
        Self {
            meta: Meta::read(object, revision),
            node: text(spec, "nodeName"),
            phase,
            ready_since_us: ready.map(|c| c["lastTransitionTime"].as_str().and_then(time::parse).unwrap_or(0)),
            ip: text(status, "podIP"),
            restarts: status["containerStatuses"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|c| c["restartCount"].as_i64())
                .sum(),
            deletion_cost: cost.as_str().and_then(|c| c.parse().ok()).unwrap_or(0),
            ports,
            tolerations: spec["tolerations"].as_array().cloned().unwrap_or_default(),
        }
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
