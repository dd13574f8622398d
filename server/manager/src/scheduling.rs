//! The scheduler's decisions become bindings: many calls at once, which share log entries.

use std::sync::Arc;

use api_rest::call::{Address, Report as EventReport, Verb};
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::json;
use server_control::scheduler::{Batch, Scheduler};
use tokio::sync::mpsc;

use super::execute::{Executor, voided};
use super::term::Report;

const NAME: &str = "default-scheduler";
/// Decisions taken at a time.
const BATCH: usize = 512;
/// Bindings in flight at once.
const IN_FLIGHT_MAX: usize = 4096;

/// What became of a decision.
pub(super) struct Placed {
    pub(super) uid: String,
    pub(super) bound: bool,
}

/// Lets the scheduler decide and has its decisions carried out; how many bindings that are.
pub(super) fn place(
    scheduler: &mut Scheduler,
    executor: &Arc<Executor>,
    reports: &mpsc::UnboundedSender<Report>,
    in_flight: usize,
) -> usize {
    if in_flight >= IN_FLIGHT_MAX {
        return 0;
    }
    let begun = executor.runtime.now();
    let batch = scheduler.schedule(executor.moment().steady_us, BATCH);
    let count = batch.binds.len();
    if count + batch.failures.len() + batch.victims.len() > 0 {
        let took = executor.runtime.now().duration_since(begun);
        executor.metrics.scheduled(took, batch.failures.len(), batch.victims.len());
        executor.runtime.spawn(Box::pin(carry_out(executor.clone(), batch, reports.clone())));
    }
    count
}

async fn carry_out(executor: Arc<Executor>, batch: Batch, reports: mpsc::UnboundedSender<Report>) {
    let caller = executor.caller(NAME);
    let mut events = Vec::new();
    let mut binds: FuturesUnordered<_> = batch
        .binds
        .into_iter()
        .map(|bind| {
            let address =
                Address { group: "", plural: "pods", namespace: bind.namespace.clone(), name: bind.name.clone() };
            let (executor, caller) = (&executor, &caller);
            async move {
                let verb = Verb::Bind { uid: bind.uid.clone(), node: bind.node.clone() };
                let begun = executor.runtime.now();
                let outcome = executor.api.call(caller, &address, verb).await;
                executor.metrics.bound(executor.runtime.now().duration_since(begun), outcome.is_ok());
                (bind, outcome)
            }
        })
        .collect();
    let mut placed = Vec::new();
    let mut void = None;
    while let Some((bind, outcome)) = binds.next().await {
        placed.push(Placed { uid: bind.uid.clone(), bound: outcome.is_ok() });
        match outcome {
            Ok(_) => {
                let message = format!("Successfully assigned {}/{} to {}", bind.namespace, bind.name, bind.node);
                events.push(event(&bind.namespace, &bind.name, &bind.uid, "Normal", "Scheduled", message));
            }
            Err(status) => {
                void = void.or_else(|| voided(&status));
                tracing::debug!(pod = bind.name, message = status.message, "a binding was refused");
            }
        }
    }
    drop(binds);
    let _ = reports.send(Report::Placed(placed));
    if let Some(reason) = void {
        let _ = reports.send(Report::Void(reason));
        return;
    }
    for victim in batch.victims {
        let address =
            Address { group: "", plural: "pods", namespace: victim.namespace.clone(), name: victim.name.clone() };
        let verb = Verb::Delete { uid: Some(victim.uid.clone()), at: None, grace_period_s: None, propagation: None };
        if let Err(status) = executor.api.call(&caller, &address, verb).await {
            tracing::debug!(pod = victim.name, message = status.message, "a preemption was refused");
        }
        events.push(event(
            &victim.namespace,
            &victim.name,
            &victim.uid,
            "Normal",
            "Preempted",
            "Preempted to make room for a pod of higher priority".to_owned(),
        ));
    }
    for failure in &batch.failures {
        let address =
            Address { group: "", plural: "pods", namespace: failure.namespace.clone(), name: failure.name.clone() };
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": failure.message,
            "lastTransitionTime": api_kinds::time::rfc3339(executor.runtime.now_us()), "lastProbeTime": null,
        });
        let patch = json!({"metadata": {"uid": failure.uid}, "status": {"conditions": [condition]}});
        let verb = Verb::Merge { subresource: "status", patch, at: None };
        if let Err(status) = executor.api.call(&caller, &address, verb).await {
            tracing::debug!(pod = failure.name, message = status.message, "a pod's condition was not written");
        }
        events.push(event(
            &failure.namespace,
            &failure.name,
            &failure.uid,
            "Warning",
            "FailedScheduling",
            failure.message.clone(),
        ));
    }
    let mut recording: FuturesUnordered<_> = events.iter().map(|event| executor.api.report(&caller, event)).collect();
    while let Some(recorded) = recording.next().await {
        if let Err(status) = recorded {
            tracing::debug!(message = status.message, "an event was not recorded");
        }
    }
}

fn event(namespace: &str, name: &str, uid: &str, severity: &str, reason: &str, message: String) -> EventReport {
    EventReport {
        kind: "Pod".to_owned(),
        api_version: "v1".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        severity: severity.to_owned(),
        reason: reason.to_owned(),
        message,
        component: NAME.to_owned(),
    }
}
