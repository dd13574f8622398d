//! The parts of a pod's JSON that placing it depends on.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

macro_rules! wire {
    ($($name:ident { $($field:ident: $kind:ty,)* })*) => {
        $(
            #[derive(Debug, Default, Deserialize)]
            #[serde(default, rename_all = "camelCase")]
            pub(super) struct $name { $(pub $field: $kind,)* }
        )*
    };
}

wire! {
    Pod { metadata: Metadata, spec: Spec, status: Status, }
    Metadata {
        name: String, namespace: String, uid: String, labels: BTreeMap<String, String>,
        deletion_timestamp: Option<String>, owner_references: Vec<Owner>,
    }
    Owner { uid: String, controller: bool, }
    Status { phase: String, }
    Spec {
        node_name: String, scheduler_name: String, scheduling_gates: Vec<Value>, priority: i32,
        preemption_policy: String, containers: Vec<Container>, init_containers: Vec<Container>,
        overhead: BTreeMap<String, Value>, resources: Requirements,
        node_selector: BTreeMap<String, String>, tolerations: Vec<Toleration>, affinity: Affinity,
        topology_spread_constraints: Vec<Spread>,
    }
    Container { restart_policy: String, resources: Requirements, ports: Vec<Port>, }
    Requirements { requests: BTreeMap<String, Value>, }
    Toleration { key: String, operator: String, value: String, effect: String, }
    Affinity { node_affinity: NodeAffinity, pod_affinity: PodAffinity, pod_anti_affinity: PodAffinity, }
    NodeTerm { match_expressions: Vec<Value>, match_fields: Vec<Value>, }
    NodeTerms { node_selector_terms: Vec<NodeTerm>, }
    PreferredNodeTerm { weight: i64, preference: NodeTerm, }
    PodTerm {
        label_selector: Option<Value>, topology_key: String, namespaces: Vec<String>,
        namespace_selector: Option<Value>, match_label_keys: Vec<String>, mismatch_label_keys: Vec<String>,
    }
    PreferredPodTerm { weight: i64, pod_affinity_term: PodTerm, }
    Spread {
        max_skew: i64, topology_key: String, when_unsatisfiable: String, label_selector: Option<Value>,
        min_domains: Option<i64>, node_affinity_policy: String, node_taints_policy: String,
        match_label_keys: Vec<String>,
    }
}

/// A port of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Port {
    pub host_port: i32,
    #[serde(rename = "hostIP")]
    pub host_ip: String,
    pub protocol: String,
}

/// `nodeAffinity`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeTerms>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    pub preferred: Vec<PreferredNodeTerm>,
}

/// `podAffinity` or `podAntiAffinity`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Vec<PodTerm>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    pub preferred: Vec<PreferredPodTerm>,
}
