//! What writers asked for and what they were told, to be held against what the cluster has in the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tests_e2e::Client;
use tokio::sync::watch;

/// Where the writers write.
pub const NAMESPACE: &str = "default";
const LABEL: &str = "bench.trireme.io/request";

/// Outcomes of one request, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// 201.
    Acknowledged,
    /// A status that says no.
    Failed(u16),
    /// The connection broke or the answer did not come: applied or not, both are right.
    Unknown,
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its request id, which its object carries.
    pub id: String,
    /// When it was sent.
    pub sent: Instant,
    /// When the answer came.
    pub answered: Instant,
    /// The answer.
    pub seen: Seen,
    /// The master asked.
    pub master: usize,
}

/// All writes, in the order of their answers. Whoever looks does so from the end and no further back than it must: it holds
/// up the writers meanwhile, who would seem to wait for the cluster.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Write>>>);

/// What the cluster holds, against the ledger.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged writes.
    pub acknowledged: usize,
    /// Acknowledged but not there.
    pub lost: usize,
    /// There more than once.
    pub doubled: usize,
}

impl Ledger {
    /// One writer: creates ConfigMaps one after another until told to stop. Each carries its request id as a label and a
    /// generated name, so that a write applied twice shows as two objects.
    pub async fn write(self, client: Client, master: usize, writer: String, stop: watch::Receiver<bool>) {
        for number in 0.. {
            if *stop.borrow() {
                return;
            }
            let id = format!("{writer}-{number}");
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"generateName": "bench-", "labels": {LABEL: id}},
                "data": {"payload": "x".repeat(200)},
            });
            let sent = Instant::now();
            let reply = client.post(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), &object).await;
            let seen = match reply {
                Ok(reply) if reply.status.as_u16() == 201 => Seen::Acknowledged,
                Ok(reply) => Seen::Failed(reply.status.as_u16()),
                Err(_) => Seen::Unknown,
            };
            {
                let mut writes = self.0.lock().expect("no panic while held");
                writes.push(Write { id, sent, answered: Instant::now(), seen, master });
            }
            if seen == Seen::Unknown {
                return; // the connection is gone; the round starts writers anew
            }
        }
    }

    /// Holds what a master lists against the ledger.
    ///
    /// # Errors
    /// When the list fails.
    pub async fn judge(&self, client: &Client) -> Result<Verdict> {
        let list =
            client.get(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps?labelSelector={LABEL}")).await?.success()?;
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for item in list["items"].as_array().into_iter().flatten() {
            *found.entry(item["metadata"]["labels"][LABEL].as_str().unwrap_or_default()).or_default() += 1;
        }
        let writes = self.0.lock().expect("no panic while held");
        let acknowledged = writes.iter().filter(|w| w.seen == Seen::Acknowledged);
        Ok(Verdict {
            acknowledged: acknowledged.clone().count(),
            lost: acknowledged.filter(|w| !found.contains_key(w.id.as_str())).count(),
            doubled: found.values().filter(|n| **n > 1).count(),
        })
    }

    /// How long after `moment` a write that was sent after it had its answer, on one of `masters`; the first that was
    /// acknowledged.
    pub fn next_acknowledged(&self, moment: Instant, masters: &[usize]) -> Option<Duration> {
        let writes = self.0.lock().expect("no panic while held");
        writes
            .iter()
            .rev()
            .take_while(|w| w.answered > moment)
            .filter(|w| w.seen == Seen::Acknowledged && masters.contains(&w.master) && w.sent > moment)
            .map(|w| w.answered - moment)
            .min()
    }

    /// Writes on `masters` that were refused or broke off, answered after `since`.
    pub fn failures(&self, masters: &[usize], since: Instant) -> Vec<Seen> {
        let writes = self.0.lock().expect("no panic while held");
        let answered = writes.iter().rev().take_while(|w| w.answered > since);
        answered.filter(|w| w.seen != Seen::Acknowledged && masters.contains(&w.master)).map(|w| w.seen).collect()
    }
}

/// Middle, 99th percentile and longest of durations, in milliseconds.
pub fn summary_ms(mut values: Vec<Duration>) -> Value {
    values.sort();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = ((values.len().saturating_sub(1)) as f64 * share).round() as usize;
        values.get(index).map_or(0.0, |d| d.as_secs_f64() * 1e3)
    };
    json!({"median": at(0.5), "p99": at(0.99), "longest": at(1.0)})
}
