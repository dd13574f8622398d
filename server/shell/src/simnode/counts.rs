//! What a process of nodes counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of one process, over all its nodes.
#[derive(Debug, Default)]
pub struct Counts {
    /// Nodes that are registered.
    pub(super) registered: Gauge,
    renewals: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Counts {
    /// Has them served by a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("trireme_agent_nodes", "Nodes of this process that are registered", self.registered.clone());
        registry.register("trireme_agent_lease_renewals", "Renewals of nodes' leases", self.renewals.clone());
    }

    /// A lease was renewed, or not.
    pub(super) fn renewed(&self, ok: bool) {
        self.renewals.get_or_create(&[("result", if ok { "ok" } else { "failed" })]).inc();
    }
}
