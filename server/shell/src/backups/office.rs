//! Makes a backup whenever one is due, for as long as this member leads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use raft_node::Node;
use raft_state::port::{ReadLevel, Standing, Store};
use tokio::sync::{mpsc, watch};

use super::name::Name;
use super::place::{CHUNKS_AHEAD, Outgoing};
use super::{Kept, Plan, State, check};
use crate::grpc::Source;

/// How long the latest state may take to be read.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Where there is none yet, the first is made by a process of this age, or of one interval if that is shorter: a cluster that
/// was made a moment ago holds nothing.
const FIRST: Duration = Duration::from_secs(60);
/// After the first failure; twice as long after each that follows.
const RETRY: Duration = Duration::from_secs(5);
/// At most, or as long as from one backup to the next if that is shorter.
const RETRY_MAX: Duration = Duration::from_secs(600);

/// Who makes the backups.
pub struct Office {
    node: Arc<Node>,
    source: Source,
    plan: Plan,
    state: Arc<State>,
    begun: Instant,
}

impl Office {
    /// Tells in `state` what it does. `place`: for people.
    pub fn new(node: Arc<Node>, source: Source, plan: Plan, place: String, state: Arc<State>) -> Self {
        state.planned(place, plan.every);
        Self { node, source, plan, state, begun: Instant::now() }
    }

    /// Runs until it is dropped, or the store ends.
    pub async fn run(self) {
        let mut standing = self.node.standing();
        while standing.wait_for(|now| now.leads).await.is_ok() {
            self.serve(&mut standing).await;
            self.state.left();
        }
    }

    /// For as long as this member leads. What has begun is brought to its end all the same: two backups do no harm.
    async fn serve(&self, standing: &mut watch::Receiver<Standing>) {
        let mut failures = 0;
        loop {
            let attempt = match self.until_due().await {
                Ok(Duration::ZERO) => self.make().await.map(|()| Duration::ZERO),
                other => other,
            };
            let pause = match attempt {
                Ok(pause) => {
                    failures = 0;
                    pause
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    tracing::error!("no backup was made: {why}");
                    self.state.failed(why);
                    failures += 1;
                    pause_after(failures, self.plan.every)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // An error: the store has ended.
                _ = standing.wait_for(|now| !now.leads) => return,
            }
        }
    }

    /// How long until the next is due, by what lies at the target.
    async fn until_due(&self) -> Result<Duration> {
        let all = self.plan.place.list(Some(&self.source.cluster)).await?;
        self.state.found(&all);
        let every = self.plan.every;
        let first = every.min(FIRST).saturating_sub(self.begun.elapsed());
        Ok(all.last().map_or(first, |last| left(last.taken_s, every, now_s())))
    }

    async fn make(&self) -> Result<()> {
        let begun = Instant::now();
        let read = self.node.read(ReadLevel::Linearizable, begun + READ_LIMIT).await;
        let snapshot = read.context("reading the latest state")?;
        let (taken_s, revision) = (now_s(), snapshot.revision());
        let name = Name::new(&self.source.cluster, taken_s, revision).to_string();
        let (source, passphrase) = (self.source.clone(), self.plan.passphrase.clone());
        let (chunks, made) = produce(move || source.backup(snapshot, taken_s, &passphrase));
        self.plan.place.put(&name, chunks).await?;
        let checking = async {
            made.await.context("making it was cut short")??;
            check::check(self.plan.place.get(&name).await?, revision).await
        };
        let checked = match checking.await {
            Ok(checked) => checked,
            Err(error) => {
                // Nobody is to rely on it; if it cannot be removed either, the next reader finds out as this one did.
                let _ = self.plan.place.remove(&name).await;
                return Err(error.context(format!("{name} was written, and is no good")));
            }
        };
        let all = self.prune().await?;
        self.state.found(&all);
        self.state.succeeded(begun.elapsed());
        tracing::info!(name, bytes = checked.bytes, keys = checked.entries, kept = all.len(), "a backup is made");
        Ok(())
    }

    /// Removes what is no longer to be kept; the rest.
    async fn prune(&self) -> Result<Vec<Kept>> {
        let mut all = self.plan.place.list(Some(&self.source.cluster)).await?;
        let expired: Vec<String> =
            self.plan.retention.expired(&all, now_s()).into_iter().map(|kept| kept.name.clone()).collect();
        for name in &expired {
            self.plan.place.remove(name).await?;
        }
        all.retain(|kept| !expired.contains(&kept.name));
        Ok(all)
    }
}

fn now_s() -> u64 {
    u64::try_from(crate::clock::now_us() / 1_000_000).unwrap_or_default()
}

/// From now until a backup is due. One from the future, by this clock, counts as one of now.
fn left(last_s: u64, every: Duration, now_s: u64) -> Duration {
    let since = Duration::from_secs(now_s.saturating_sub(last_s));
    every.saturating_sub(since)
}

fn pause_after(failures: u32, every: Duration) -> Duration {
    let doubled = RETRY.saturating_mul(1 << (failures - 1).min(16));
    doubled.min(RETRY_MAX).min(every)
}

/// Makes the bytes of a backup on a thread that may block, as fast as they are taken.
fn produce<I: Iterator<Item = bytes::Bytes>>(
    begin: impl FnOnce() -> Result<I> + Send + 'static,
) -> (Outgoing, tokio::task::JoinHandle<Result<()>>) {
    let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
    let made = tokio::task::spawn_blocking(move || {
        for chunk in begin()? {
            if send.blocking_send(chunk).is_err() {
                // Whoever takes them has a reason of his own, and says it.
                break;
            }
        }
        Ok(())
    });
    (receive, made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_is_due_one_interval_after_the_last() {
        let check = |last_s: u64, now_s: u64, expected: u64| {
            assert_eq!(left(last_s, Duration::from_secs(60), now_s).as_secs(), expected, "{last_s} at {now_s}");
        };
        check(100, 100, 60);
        check(100, 130, 30);
        check(100, 160, 0);
        check(100, 900, 0);
        check(100, 40, 60);
    }

    #[test]
    fn a_target_that_fails_is_asked_ever_more_seldom() {
        let check = |failures: u32, every_s: u64, expected: u64| {
            assert_eq!(pause_after(failures, Duration::from_secs(every_s)).as_secs(), expected, "{failures}");
        };
        check(1, 3600, 5);
        check(2, 3600, 10);
        check(20, 3600, 600);
        check(3, 10, 10);
    }
}
