//! What the agent reads of a pod.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A pod as the API wants it: exactly the facts that decide its life on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// Name, namespace, uid and so on.
    pub metadata: Metadata,
    /// Containers and policies.
    #[serde(default)]
    pub spec: Spec,
    /// What was last reported.
    #[serde(default)]
    pub status: Status,
}

/// Of `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace.
    #[serde(default)]
    pub namespace: String,
    /// This incarnation.
    #[serde(default)]
    pub uid: String,
    /// Grows with the spec.
    #[serde(default)]
    pub generation: i64,
    /// Set once deletion was asked for.
    pub deletion_timestamp: Option<String>,
    /// Seconds given to stop, once deletion was asked for.
    pub deletion_grace_period_seconds: Option<i64>,
    /// The simulated runtime reads its orders here.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// Of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The node that it is bound to.
    #[serde(default)]
    pub node_name: String,
    /// Run one after another, first.
    #[serde(default)]
    pub init_containers: Vec<Container>,
    /// Run together.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// `Always`, `OnFailure`, `Never`.
    #[serde(default)]
    pub restart_policy: String,
    /// Whether the pod has the node's address.
    #[serde(default)]
    pub host_network: bool,
    /// Conditions beyond the containers that readiness needs.
    #[serde(default)]
    pub readiness_gates: Vec<ReadinessGate>,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// What it runs.
    #[serde(default)]
    pub image: String,
    /// `Always` makes an init container a sidecar.
    pub restart_policy: Option<String>,
}

/// A readiness gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessGate {
    /// The condition that must be True.
    pub condition_type: String,
}

/// Of `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    #[serde(default)]
    pub phase: String,
    /// Its address, once it has one.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// When this node first saw it.
    pub start_time: Option<String>,
    /// Conditions of others are kept.
    #[serde(default)]
    pub conditions: Vec<serde_json::Value>,
    /// Restart counts outlive an agent's restart.
    #[serde(default)]
    pub container_statuses: Vec<ContainerStatus>,
}

/// Of a reported container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Which container.
    pub name: String,
    /// How often it was restarted.
    #[serde(default)]
    pub restart_count: u32,
}

impl PodSpec {
    /// Whether deletion was asked for.
    pub fn deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether it has ended for good.
    pub fn finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether a container that ended with this code is to run again.
    pub fn restarts_after(&self, exit_code: i32) -> bool {
        match self.spec.restart_policy.as_str() {
            "Never" => false,
            "OnFailure" => exit_code != 0,
            _ => true,
        }
    }
}
