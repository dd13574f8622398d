//! What the store counts, from proposal to compaction.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use raft_node::{Histogram, Node, Progress};
use raft_state::Snapshot;
use raft_state::port::{Standing, Store};

/// Asks a member whenever the registry is read.
pub struct Collect {
    pub(super) node: Arc<Node>,
    pub(super) data_dir: PathBuf,
}

impl std::fmt::Debug for Collect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collect").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

type Written = Result<(), std::fmt::Error>;

impl Collector for Collect {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Written {
        let (progress, standing) = (self.node.progress(), self.node.standing().borrow().clone());
        self.histograms(&mut encoder)?;
        self.counters(&mut encoder)?;
        self.lag(&mut encoder, &standing)?;
        let snapshot = self.node.snapshot();
        let levels = self.node.levels();
        gauge(&mut encoder, "trireme_level", "What this build can do", u64::from(levels.own()))?;
        gauge(&mut encoder, "trireme_cluster_level", "What all members' builds can do", u64::from(levels.cluster()))?;
        for (name, help, value) in gauges(&progress, &standing, &snapshot) {
            gauge(&mut encoder, name, help, value)?;
        }
        if let Some(acked) = progress.quorum_acked {
            let help = "At the leader: seconds since a quorum answered last";
            let name = "trireme_raft_quorum_acked_seconds";
            ConstGauge::new(acked.as_secs_f64()).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Gauge,
            )?)?;
        }
        let completed = self.node.metrics().scrub_completed_s.load(Ordering::Relaxed);
        let help = "When the last pass of the scrub went through, in seconds since 1970";
        gauge(&mut encoder, "trireme_scrub_completed_timestamp_seconds", help, completed)?;
        self.disk(&mut encoder)?;
        objects(&mut encoder, &snapshot)
    }
}

fn gauges(progress: &Progress, standing: &Standing, snapshot: &Snapshot) -> [(&'static str, &'static str, u64); 14] {
    let voters = standing.members.iter().filter(|member| member.voter).count() as u64;
    [
        ("trireme_ready", "Whether this member serves", u64::from(standing.ready)),
        ("trireme_raft_leads", "Whether this member leads with a quorum behind it", u64::from(standing.leads)),
        ("trireme_raft_has_leader", "Whether this member knows a leader", u64::from(standing.leader.is_some())),
        ("trireme_raft_term", "Raft term", progress.term),
        ("trireme_raft_members", "Members of the cluster", standing.members.len() as u64),
        ("trireme_raft_voters", "Members that vote", voters),
        ("trireme_raft_last_index", "Last entry of the log", progress.last_index),
        ("trireme_raft_committed_index", "Last entry known to be committed", progress.committed_index),
        ("trireme_raft_applied_index", "Last entry applied", progress.applied_index),
        ("trireme_raft_snapshot_index", "Last entry in the latest snapshot", progress.snapshot_index),
        ("trireme_raft_purged_index", "Last entry that the log has forgotten", progress.purged_index),
        ("trireme_store_revision", "Revision of the store", snapshot.revision()),
        ("trireme_store_compacted_revision", "History up to here is forgotten", snapshot.compacted()),
        ("trireme_store_leases", "Leases that run", snapshot.leases().len() as u64),
    ]
}

impl Collect {
    fn histograms(&self, encoder: &mut DescriptorEncoder<'_>) -> Written {
        let metrics = self.node.metrics();
        let durations: [(&str, &str, &Histogram); 9] = [
            ("trireme_raft_propose_seconds", "From a proposal to its outcome applied here", &metrics.propose_us),
            ("trireme_raft_commit_seconds", "At the leader: from an entry to its commit", &metrics.commit_us),
            ("trireme_raft_append_seconds", "From an append to its bytes on disk", &metrics.append_us),
            ("trireme_raft_fsync_seconds", "Syncs of the log's file", &metrics.fsync_us),
            ("trireme_raft_apply_seconds", "Applying a run of entries", &metrics.apply_us),
            ("trireme_raft_read_index_seconds", "Confirming that a read is current", &metrics.read_index_us),
            ("trireme_raft_snapshot_build_seconds", "Building a snapshot", &metrics.snapshot_build_us),
            ("trireme_raft_snapshot_install_seconds", "Installing a snapshot", &metrics.snapshot_install_us),
            ("trireme_store_compaction_seconds", "Deleting history", &metrics.compaction_us),
        ];
        for (name, help, histogram) in durations {
            encode(encoder, name, help, histogram, 1e-6)?;
        }
        encode(
            encoder,
            "trireme_raft_batch_proposals",
            "Proposals that shared an entry",
            &metrics.batch_proposals,
            1.0,
        )?;
        encode(encoder, "trireme_raft_batch_reads", "Reads that shared a confirmation", &metrics.batch_reads, 1.0)
    }

    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> Written {
        let metrics = self.node.metrics();
        let counters: [(&str, &str, &AtomicU64); 13] = [
            ("trireme_raft_applied_entries", "Entries applied", &metrics.applied_entries),
            ("trireme_raft_compressed_entries", "At the leader: entries compressed", &metrics.compressed_entries),
            ("trireme_raft_elections_won", "Elections that this member won", &metrics.elections_won),
            ("trireme_raft_leader_changes", "Changes of leader that this member saw", &metrics.leader_changes),
            ("trireme_raft_lease_lapses", "Quorum leases that lapsed while it led", &metrics.lease_lapses),
            ("trireme_raft_propose_timeouts", "Proposals that missed their deadline", &metrics.propose_timeouts),
            ("trireme_raft_propose_retries", "Proposals sent again", &metrics.propose_retries),
            ("trireme_raft_snapshots_built", "Snapshots built here", &metrics.snapshots_built),
            ("trireme_raft_snapshots_installed", "Snapshots of others installed here", &metrics.snapshots_installed),
            ("trireme_raft_snapshots_refused", "Snapshots of others that were damaged", &metrics.snapshots_refused),
            ("trireme_scrub_bytes", "Bytes on the disk that the scrub found sound", &metrics.scrub_bytes),
            ("trireme_scrub_passes", "Passes of the scrub that went through", &metrics.scrub_passes),
            (
                "trireme_scrub_failures",
                "Passes of the scrub that found damage or could not read",
                &metrics.scrub_failures,
            ),
        ];
        for (name, help, counter) in counters {
            let count = ConstCounter::new(counter.load(Ordering::Relaxed));
            count.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }

    /// Each peer by name, or by id where the membership does not know it.
    fn lag(&self, encoder: &mut DescriptorEncoder<'_>, standing: &Standing) -> Written {
        let help = "At the leader: log entries that a peer lacks that has answered it";
        let mut lag =
            encoder.encode_descriptor("trireme_raft_replication_lag_entries", help, None, MetricType::Gauge)?;
        for (id, entries) in self.node.metrics().replication_lag() {
            let member = standing.members.iter().find(|member| member.id == id);
            let labels = [("peer", member.map_or_else(|| id.to_string(), |member| member.name.clone()))];
            ConstGauge::new(entries).encode(lag.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn disk(&self, encoder: &mut DescriptorEncoder<'_>) -> Written {
        let Ok(disk) = rustix::fs::statvfs(&self.data_dir) else { return Ok(()) };
        let sizes = [
            ("trireme_data_disk_free_bytes", "Free on the disk of the data folder", disk.f_bavail * disk.f_frsize),
            ("trireme_data_disk_size_bytes", "Size of the disk of the data folder", disk.f_blocks * disk.f_frsize),
        ];
        for (name, help, bytes) in sizes {
            gauge(encoder, name, help, bytes)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Written {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// Objects that there are, by resource: O(1) each.
fn objects(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> Written {
    let help = "Objects that are stored";
    let mut family = encoder.encode_descriptor("apiserver_storage_objects", help, None, MetricType::Gauge)?;
    for (resource, count) in counts(snapshot) {
        ConstGauge::new(count as u64).encode(family.encode_family(&[("resource", resource)])?)?;
    }
    Ok(())
}

/// Objects of each stored kind, by `<resource>.<group>`.
pub(super) fn counts(snapshot: &Snapshot) -> impl Iterator<Item = (String, usize)> {
    api_kinds::registry::KINDS.iter().filter(|kind| kind.stored_as.is_none()).map(|kind| {
        let resource =
            if kind.group.is_empty() { kind.plural.to_owned() } else { format!("{}.{}", kind.plural, kind.group) };
        (resource, snapshot.count(kind.key_prefix().as_bytes()))
    })
}

/// A histogram in a unit of its own times `scale`. Bounds above a minute say nothing to anybody and are left out.
fn encode(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, histogram: &Histogram, scale: f64) -> Written {
    let counted = histogram.buckets();
    let count = counted.iter().map(|(_, count)| count).sum();
    let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(counted.len());
    let mut beyond = 0;
    for (bound, count) in counted {
        if bound <= 1 << 26 {
            buckets.push((bound as f64 * scale, count));
        } else {
            beyond += count;
        }
    }
    buckets.push((f64::INFINITY, beyond));
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(histogram.sum() as f64 * scale, count, &buckets, None)
}
