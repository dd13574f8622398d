//! The watches that are open: how many, how far each has come, how many events they were given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use raft_state::port::Store;

type Labels = [(&'static str, &'static str); 2];

/// Of one resource.
#[derive(Debug, Default)]
struct OfResource {
    open: BTreeMap<u64, Arc<AtomicU64>>,
    events: Arc<AtomicU64>,
    opened: u64,
}

impl OfResource {
    /// Revisions that the slowest one has not been given.
    fn lag(&self, revision: u64) -> u64 {
        let slowest = self.open.values().map(|progress| progress.load(Ordering::Relaxed)).min();
        slowest.map_or(0, |slowest| revision.saturating_sub(slowest))
    }
}

/// All watches of one member, by group and resource.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    resources: Mutex<BTreeMap<(&'static str, &'static str), OfResource>>,
}

/// The place of one open watch; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    watches: Arc<Watches>,
    resource: (&'static str, &'static str),
    number: u64,
    progress: Arc<AtomicU64>,
    events: Arc<AtomicU64>,
}

impl Watches {
    /// A watch of a resource opens behind a revision.
    pub(crate) fn enter(self: &Arc<Self>, group: &'static str, resource: &'static str, after: u64) -> Seat {
        let mut resources = self.resources.lock();
        let of_resource = resources.entry((group, resource)).or_default();
        of_resource.opened += 1;
        let (number, progress) = (of_resource.opened, Arc::new(AtomicU64::new(after)));
        of_resource.open.insert(number, progress.clone());
        let events = of_resource.events.clone();
        Seat { watches: self.clone(), resource: (group, resource), number, progress, events }
    }

    /// How many there are.
    pub(crate) fn open(&self) -> u64 {
        self.resources.lock().values().map(|of_resource| of_resource.open.len() as u64).sum()
    }

    /// Revisions that the slowest of all has not been given.
    pub(crate) fn lag(&self, revision: u64) -> u64 {
        self.resources.lock().values().map(|of_resource| of_resource.lag(revision)).max().unwrap_or(0)
    }
}

impl Seat {
    /// Everything up to a revision has been given to it.
    pub(crate) fn reached(&self, revision: u64) {
        self.progress.store(revision, Ordering::Relaxed);
    }

    /// An event goes out.
    pub(crate) fn count_event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(of_resource) = self.watches.resources.lock().get_mut(&self.resource) {
            of_resource.open.remove(&self.number);
        }
    }
}

/// Shows the watches to a registry.
pub(crate) struct OpenWatches {
    pub(crate) watches: Arc<Watches>,
    pub(crate) store: Arc<dyn Store>,
}

impl std::fmt::Debug for OpenWatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenWatches").finish_non_exhaustive()
    }
}

impl Collector for OpenWatches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let revision = self.store.snapshot().revision();
        let resources = self.watches.resources.lock();
        let labels = |(group, resource): &(&'static str, &'static str)| -> Labels {
            [("group", *group), ("resource", *resource)]
        };
        let help = "Watches that are open";
        let mut open = encoder.encode_descriptor("apiserver_registered_watchers", help, None, MetricType::Gauge)?;
        for (name, of_resource) in resources.iter() {
            let count = ConstGauge::new(of_resource.open.len() as u64);
            count.encode(open.encode_family(&labels(name))?)?;
        }
        let help = "Revisions that the slowest open watch of a resource has not been given yet";
        let mut lag = encoder.encode_descriptor("trireme_watch_lag_revisions", help, None, MetricType::Gauge)?;
        for (name, of_resource) in resources.iter() {
            ConstGauge::new(of_resource.lag(revision)).encode(lag.encode_family(&labels(name))?)?;
        }
        let help = "Events given to watches";
        let mut events = encoder.encode_descriptor("apiserver_watch_events", help, None, MetricType::Counter)?;
        for (name, of_resource) in resources.iter() {
            let count = ConstCounter::new(of_resource.events.load(Ordering::Relaxed));
            count.encode(events.encode_family(&labels(name))?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_open_watch_is_the_lag() {
        let watches: Arc<Watches> = Arc::default();
        let (fast, slow) = (watches.enter("", "pods", 5), watches.enter("apps", "deployments", 3));
        fast.reached(10);
        assert_eq!((watches.open(), watches.lag(10)), (2, 7));
        slow.reached(9);
        assert_eq!(watches.lag(10), 1);
        drop(slow);
        assert_eq!((watches.open(), watches.lag(10)), (1, 0));
    }
}
