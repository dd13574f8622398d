//! What the scheduler knows of a pod.

use std::collections::BTreeMap;

use api_kinds::selector::{Operator, Requirement, Selector};
use serde_json::Value;

use super::node::{Node, Taint};
use super::resources::{Parts, Request};
use super::wire;

/// The scheduler whose pods are placed here.
pub const SCHEDULER_NAME: &str = "default-scheduler";

/// A pod, as far as placing it and others depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.labels`
    pub labels: BTreeMap<String, String>,
    /// UID of the controlling owner.
    pub owner: Option<String>,
    /// Where it is bound; empty for nowhere.
    pub node_name: String,
    /// Whether it is to be placed by this scheduler, once bound to no node.
    pub ours: bool,
    /// `spec.schedulingGates` hold it back (KEP-3521).
    pub gated: bool,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// Succeeded or Failed: it occupies nothing any more.
    pub terminal: bool,
    /// `spec.priority`
    pub priority: i32,
    /// `preemptionPolicy: Never`
    pub never_preempts: bool,
    /// What it occupies.
    pub request: Request,
    /// Ports of the host that it takes.
    pub ports: Vec<HostPort>,
    /// `spec.nodeSelector`
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity; `None` for none, an empty list matches no node.
    pub required_nodes: Option<Vec<NodeTerm>>,
    /// Preferred node affinity, with weights.
    pub preferred_nodes: Vec<(i64, NodeTerm)>,
    /// `spec.tolerations`
    pub tolerations: Vec<Toleration>,
    /// Required affinity to pods.
    pub affinity: Vec<PodTerm>,
    /// Required anti-affinity to pods.
    pub anti_affinity: Vec<PodTerm>,
    /// Preferred affinity to pods; negative weights stand for anti-affinity.
    pub preferred_pods: Vec<(i64, PodTerm)>,
    /// `spec.topologySpreadConstraints`
    pub spread: Vec<Spread>,
}

/// A port of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Empty or `0.0.0.0` for every address.
    pub ip: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The number.
    pub port: i32,
}

/// One toleration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
}

/// One term of a node selector: all its requirements must hold; without any it matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTerm {
    labels: Selector,
    fields: Selector,
}

/// One term of inter-pod affinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTerm {
    /// `None` selects no pod.
    selector: Option<Selector>,
    namespaces: Vec<String>,
    namespace_selector: Option<Selector>,
    /// Nodes with the same value of this label are one place.
    pub topology_key: String,
}

/// One topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// How far the counts of two domains may be apart.
    pub max_skew: i64,
    /// Nodes with the same value of this label are one domain.
    pub topology_key: String,
    /// `DoNotSchedule` rather than `ScheduleAnyway`.
    pub hard: bool,
    /// Which pods count; `None` for none.
    pub selector: Option<Selector>,
    /// With fewer domains, the least count is taken as 0.
    pub min_domains: i64,
    /// Only nodes that the pod's node affinity admits are domains (the default).
    pub honor_affinity: bool,
    /// Only nodes whose taints the pod tolerates are domains.
    pub honor_taints: bool,
}

impl Pod {
    /// Reads a stored pod; `None` when the bytes are none.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let wire: wire::Pod = serde_json::from_slice(json).ok()?;
        let (meta, spec) = (wire.metadata, wire.spec);
        let request = Request::of(&Parts {
            init: spec.init_containers.iter().map(|c| (&c.resources.requests, c.restart_policy == "Always")).collect(),
            main: spec.containers.iter().map(|c| &c.resources.requests).collect(),
            overhead: spec.overhead,
            whole: spec.resources.requests,
        });
        let sidecars = spec.init_containers.iter().filter(|c| c.restart_policy == "Always");
        let ports = spec.containers.iter().chain(sidecars).flat_map(|c| &c.ports).filter(|p| p.host_port > 0);
        let ports = ports.map(HostPort::of).collect();
        let term = |term: wire::PodTerm| PodTerm::of(term, &meta.namespace, &meta.labels);
        let affinity = spec.affinity;
        let preferred = affinity.pod_affinity.preferred.into_iter().map(|p| (p.weight, p.pod_affinity_term));
        let avoided = affinity.pod_anti_affinity.preferred.into_iter().map(|p| (-p.weight, p.pod_affinity_term));
        Some(Self {
            ours: spec.scheduler_name == SCHEDULER_NAME,
            gated: !spec.scheduling_gates.is_empty(),
            deleting: meta.deletion_timestamp.is_some(),
            terminal: matches!(wire.status.phase.as_str(), "Succeeded" | "Failed"),
            priority: spec.priority,
            never_preempts: spec.preemption_policy == "Never",
            node_name: spec.node_name,
            request,
            ports,
            node_selector: spec.node_selector,
            required_nodes: affinity
                .node_affinity
                .required
                .map(|terms| terms.node_selector_terms.iter().map(NodeTerm::of).collect()),
            preferred_nodes: affinity
                .node_affinity
                .preferred
                .iter()
                .map(|p| (p.weight, NodeTerm::of(&p.preference)))
                .collect(),
            tolerations: spec.tolerations.into_iter().map(Toleration::of).collect(),
            affinity: affinity.pod_affinity.required.into_iter().map(term).collect(),
            anti_affinity: affinity.pod_anti_affinity.required.into_iter().map(term).collect(),
            preferred_pods: preferred.chain(avoided).map(|(weight, t)| (weight, term(t))).collect(),
            spread: spec.topology_spread_constraints.into_iter().map(|s| Spread::of(s, &meta.labels)).collect(),
            owner: meta.owner_references.into_iter().find(|o| o.controller).map(|o| o.uid),
            uid: meta.uid,
            namespace: meta.namespace,
            name: meta.name,
            labels: meta.labels,
        })
    }

    /// Whether it waits for a node.
    pub fn waits(&self) -> bool {
        self.ours && self.node_name.is_empty() && !self.deleting && !self.gated && !self.terminal
    }

    /// Whether it occupies room on a node.
    pub fn occupies(&self) -> bool {
        !self.node_name.is_empty() && !self.terminal
    }

    /// Whether other pods bear on where it may go, beyond those on the same node.
    pub fn looks_around(&self) -> bool {
        !(self.affinity.is_empty()
            && self.anti_affinity.is_empty()
            && self.preferred_pods.is_empty()
            && self.spread.is_empty())
    }

    /// Equal for pods that the same nodes suit equally well, given that they do not [`Pod::looks_around`].
    pub fn class(&self) -> String {
        let Self { namespace, owner, priority, request, ports, node_selector, required_nodes, .. } = self;
        let rest = (&self.preferred_nodes, &self.tolerations);
        format!("{:?}", (namespace, owner, priority, request, ports, node_selector, required_nodes, rest))
    }

    /// Whether nodeSelector and required node affinity admit a node.
    pub fn admits(&self, node: &Node) -> bool {
        self.node_selector.iter().all(|(key, value)| node.label(key) == Some(value))
            && self.required_nodes.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }

    /// The first taint of the node with one of these effects that no toleration covers.
    pub fn untolerated<'a>(&self, node: &'a Node, effects: &[&str]) -> Option<&'a Taint> {
        let tolerated = |taint: &Taint| self.tolerations.iter().any(|toleration| toleration.covers(taint));
        node.taints.iter().find(|taint| effects.contains(&taint.effect.as_str()) && !tolerated(taint))
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

impl HostPort {
    fn of(port: &wire::Port) -> Self {
        let protocol = if port.protocol.is_empty() { "TCP".to_owned() } else { port.protocol.clone() };
        Self { ip: port.host_ip.clone(), protocol, port: port.host_port }
    }

    fn everywhere(&self) -> bool {
        self.ip.is_empty() || self.ip == "0.0.0.0"
    }

    /// Whether both cannot be had on one node.
    pub fn collides(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.everywhere() || other.everywhere() || self.ip == other.ip)
    }
}

impl Toleration {
    fn of(wire: wire::Toleration) -> Self {
        Self { key: wire.key, operator: wire.operator, value: wire.value, effect: wire.effect }
    }

    /// Whether it tolerates a taint.
    pub fn covers(&self, taint: &Taint) -> bool {
        if !self.effect.is_empty() && self.effect != taint.effect {
            return false;
        }
        if !self.key.is_empty() && self.key != taint.key {
            return false;
        }
        let numbers = || Some((taint.value.parse::<i64>().ok()?, self.value.parse::<i64>().ok()?));
        match self.operator.as_str() {
            "" | "Equal" => self.value == taint.value,
            "Exists" => true,
            "Gt" => numbers().is_some_and(|(taint, own)| taint > own),
            "Lt" => numbers().is_some_and(|(taint, own)| taint < own),
            _ => false,
        }
    }
}

impl NodeTerm {
    fn of(wire: &wire::NodeTerm) -> Self {
        let read = |list: &[Value]| Selector(list.iter().map(Selector::expression).collect());
        Self { labels: read(&wire.match_expressions), fields: read(&wire.match_fields) }
    }

    /// Whether the node satisfies it.
    pub fn matches(&self, node: &Node) -> bool {
        !(self.labels.is_empty() && self.fields.is_empty())
            && self.labels.matches(|key| node.label(key))
            && self.fields.matches(|key| (key == "metadata.name").then_some(node.name.as_str()))
    }
}

impl PodTerm {
    fn of(wire: wire::PodTerm, namespace: &str, labels: &BTreeMap<String, String>) -> Self {
        let mut namespaces = wire.namespaces;
        if namespaces.is_empty() && wire.namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        let selector = wire.label_selector.as_ref().map(Selector::from_object);
        let selector = selector.map(|s| with_own(s, &wire.match_label_keys, labels, |v| Operator::In(vec![v])));
        let selector = selector.map(|s| with_own(s, &wire.mismatch_label_keys, labels, |v| Operator::NotIn(vec![v])));
        Self {
            selector,
            namespaces,
            namespace_selector: wire.namespace_selector.as_ref().map(Selector::from_object),
            topology_key: wire.topology_key,
        }
    }

    /// Whether it speaks of this pod. Of a namespace's labels only `kubernetes.io/metadata.name` is known here.
    pub fn selects(&self, pod: &Pod) -> bool {
        let named = |key: &str| (key == "kubernetes.io/metadata.name").then_some(pod.namespace.as_str());
        let within = self.namespaces.contains(&pod.namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| selector.matches(named));
        within && self.selector.as_ref().is_some_and(|selector| selector.matches(|key| pod.label(key)))
    }
}

impl Spread {
    fn of(wire: wire::Spread, labels: &BTreeMap<String, String>) -> Self {
        let selector = wire.label_selector.as_ref().map(Selector::from_object);
        Self {
            max_skew: wire.max_skew,
            topology_key: wire.topology_key,
            hard: wire.when_unsatisfiable != "ScheduleAnyway",
            selector: selector.map(|s| with_own(s, &wire.match_label_keys, labels, |v| Operator::In(vec![v]))),
            min_domains: wire.min_domains.unwrap_or(1),
            honor_affinity: wire.node_affinity_policy != "Ignore",
            honor_taints: wire.node_taints_policy == "Honor",
        }
    }

    /// Whether a pod of the namespace counts.
    pub fn counts(&self, pod: &Pod) -> bool {
        !pod.deleting && self.selector.as_ref().is_some_and(|selector| selector.matches(|key| pod.label(key)))
    }
}

/// The selector, and the values of the pod's own labels under these keys (KEP-3243, KEP-3633).
fn with_own(
    mut selector: Selector,
    keys: &[String],
    labels: &BTreeMap<String, String>,
    operator: impl Fn(String) -> Operator,
) -> Selector {
    let own = keys.iter().filter_map(|key| Some((key, labels.get(key)?)));
    selector.0.extend(own.map(|(key, value)| Requirement { key: key.clone(), operator: operator(value.clone()) }));
    selector
}
