//! Plans become API calls: in process, as their controller, stamped with the epoch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_rest::call::{Address, Caller, Report as EventReport, Verb};
use api_rest::{Api, Identity, Status, bootstrap};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use raft_state::{Action, Command, Epoch, Expect, ObjectCommand};
use server_control::runner::Done;
use server_control::{Intent, Moment, Target, Work};
use tokio::sync::mpsc;

use super::term::Report;
use super::{Metrics, Options, Runtime};

/// How long a call may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// A claim may stand this long without its Service: the Service is on its way.
const CLAIM_GRACE: Duration = Duration::from_secs(60);

/// Makes calls for one term.
pub(super) struct Executor {
    pub(super) api: Arc<Api>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) metrics: Arc<Metrics>,
    epoch: Epoch,
    /// The steady clock counts from here.
    begun: Instant,
}

impl Executor {
    pub(super) fn new(options: &Options, epoch: Epoch) -> Self {
        let (api, runtime, metrics) = (options.api.clone(), options.runtime.clone(), options.metrics.clone());
        let begun = runtime.now();
        Self { api, runtime, metrics, epoch, begun }
    }

    /// Now, by both clocks.
    pub(super) fn moment(&self) -> Moment {
        let steady = self.runtime.now().duration_since(self.begun);
        Moment { wall_us: self.runtime.now_us(), steady_us: i64::try_from(steady.as_micros()).unwrap_or(i64::MAX) }
    }

    /// A caller in the name of a component.
    pub(super) fn caller(&self, component: &str) -> Caller {
        Caller {
            identity: Identity::component(component),
            manager: component.to_owned(),
            epoch: Some(self.epoch),
            deadline: self.runtime.now() + CALL_LIMIT,
            trusted: false,
        }
    }
}

fn address(target: Target) -> Address {
    Address { group: target.group, plural: target.plural, namespace: target.namespace, name: target.name }
}

/// A plan's intents, each with the events behind it, which tell of it. Events at the beginning stand alone.
fn with_events(intents: Vec<Intent>) -> Vec<Vec<Intent>> {
    let mut groups: Vec<Vec<Intent>> = Vec::new();
    for intent in intents {
        match groups.last_mut() {
            Some(group) if matches!(intent, Intent::Event { .. }) => group.push(intent),
            _ => groups.push(vec![intent]),
        }
    }
    groups
}

/// Does one thing, and tells of it once it is done: what was refused did not happen.
async fn in_turn(executor: &Executor, caller: &Caller, component: &str, group: Vec<Intent>) -> Result<u64, Status> {
    let mut revision = 0;
    for intent in group {
        revision = one(executor, caller, component, intent).await?.max(revision);
    }
    Ok(revision)
}

/// Carries a plan out, its intents side by side, and reports.
pub(super) async fn carry_out(executor: Arc<Executor>, work: Work, reports: mpsc::UnboundedSender<Report>) {
    let begun = executor.runtime.now();
    let caller = executor.caller(work.controller.name);
    let groups = with_events(work.plan.intents);
    let mut calls: FuturesUnordered<_> =
        groups.into_iter().map(|group| in_turn(&executor, &caller, work.controller.name, group)).collect();
    let mut done = Done::default();
    let mut void = None;
    while let Some(outcome) = calls.next().await {
        match outcome {
            Ok(revision) => done.revision = done.revision.max(revision),
            Err(status) => {
                void = void.or_else(|| voided(&status));
                // Gone, or there already: the view will show it.
                let settled = matches!(status.reason, "NotFound" | "AlreadyExists");
                done.failed |= !settled;
                if status.reason != "Conflict" && !settled {
                    tracing::warn!(controller = work.controller.name, key = ?work.key, message = status.message, "a plan met a refusal");
                }
            }
        }
    }
    drop(calls);
    executor.metrics.worked(work.controller.name, executor.runtime.now().duration_since(begun), done.failed);
    let _ = reports.send(match void {
        Some(reason) => Report::Void(reason),
        None => Report::Plan(work.row, work.key, done),
    });
}

/// Whether a refusal means that the term is over.
pub(super) fn voided(status: &Status) -> Option<&'static str> {
    if status.message.contains("the manager that asked is no longer in office") {
        return Some("a newer manager is in office");
    }
    (status.reason == "Timeout").then_some("the outcome of a write is unknown")
}

async fn one(executor: &Executor, caller: &Caller, component: &str, intent: Intent) -> Result<u64, Status> {
    let api = &executor.api;
    match intent {
        Intent::Create { target, object } => api.call(caller, &address(target), Verb::Create(object)).await,
        Intent::Update { target, at, mut object } => {
            object["metadata"]["resourceVersion"] = at.to_string().into();
            api.call(caller, &address(target), Verb::Update(object)).await
        }
        Intent::Patch { target, at, patch } => {
            api.call(caller, &address(target), Verb::Merge { subresource: "", patch, at }).await
        }
        Intent::PatchStatus { target, at, patch } => {
            api.call(caller, &address(target), Verb::Merge { subresource: "status", patch, at }).await
        }
        Intent::Delete { target, deletion } => {
            let verb = Verb::Delete {
                uid: deletion.uid,
                at: deletion.at,
                grace_period_s: deletion.grace_period_s,
                propagation: deletion.propagation,
            };
            api.call(caller, &address(target), verb).await
        }
        Intent::Finalize { target, finalizers } => {
            api.call(caller, &address(target), Verb::Finalize(serde_json::json!(finalizers))).await
        }
        Intent::Bind { target, uid, node, .. } => api.call(caller, &address(target), Verb::Bind { uid, node }).await,
        Intent::Event { regarding, kind, api_version, uid, severity, reason, message } => {
            let report = EventReport {
                kind: kind.to_owned(),
                api_version: api_version.to_owned(),
                namespace: regarding.namespace,
                name: regarding.name,
                uid,
                severity: severity.to_owned(),
                reason: reason.to_owned(),
                message,
                component: component.to_owned(),
            };
            // An event that cannot be told is no reason to do the work again.
            if let Err(status) = api.report(caller, &report).await {
                tracing::debug!(message = status.message, "an event was not recorded");
            }
            Ok(0)
        }
    }
}

/// Gives back claims on addresses and ports that no Service stands on, and stood on none a minute ago either.
pub(super) async fn repair_claims(options: Options, executor: Arc<Executor>) {
    let before = bootstrap::orphaned_claims(&options.store.snapshot());
    if before.is_empty() {
        return;
    }
    options.runtime.sleep(CLAIM_GRACE).await;
    let snapshot = options.store.snapshot();
    let still = bootstrap::orphaned_claims(&snapshot);
    let commands: Vec<Command> = before
        .into_iter()
        .filter(|key| still.contains(key))
        .filter_map(|key| {
            let at = snapshot.get(key.as_bytes())?.mod_revision;
            Some(Command::Object(ObjectCommand {
                key: Bytes::from(key),
                epoch: Some(executor.epoch),
                expect: Expect::At(at),
                action: Action::Delete,
            }))
        })
        .collect();
    tracing::info!(claims = commands.len(), "giving back claims that no Service stands on");
    if let Err(error) = options.store.propose(commands, options.runtime.now() + CALL_LIMIT).await {
        tracing::warn!(%error, "claims were not given back");
    }
}
