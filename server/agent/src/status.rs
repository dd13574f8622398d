//! The `status` that a node reports of a pod.

use api_kinds::time::rfc3339;
use serde_json::{Value, json};

use crate::lifecycle::{ContainerRun, Phase, PodRun};
use crate::pod::PodSpec;

/// The status as the API shall have it. `host_ip` is the node's address.
pub fn report(pod: &PodSpec, run: &PodRun, host_ip: &str, now_us: i64) -> Value {
    let phase = run.phase(pod);
    let initialized = run.init.iter().zip(&pod.spec.init_containers).all(|(run, container)| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        run.succeeded() || (sidecar && matches!(run.phase, Phase::Running { .. }))
    });
    let containers_ready = !run.containers.is_empty()
        && run.containers.iter().all(|c| matches!(c.phase, Phase::Running { ready: true, .. }));
    let gates_open = pod.spec.readiness_gates.iter().all(|gate| {
        pod.status.conditions.iter().any(|c| c["type"] == gate.condition_type.as_str() && c["status"] == "True")
    });
    let finished = matches!(phase, "Succeeded" | "Failed");
    let waiting_reason = if finished { "PodCompleted" } else { "ContainersNotReady" };
    let mut conditions = Conditions { previous: &pod.status.conditions, now_us, all: Vec::new() };
    conditions.set("PodReadyToStartContainers", run.ip.is_some() && !finished, "");
    conditions.set("Initialized", initialized, "ContainersNotInitialized");
    conditions.set("Ready", containers_ready && gates_open, waiting_reason);
    conditions.set("ContainersReady", containers_ready, waiting_reason);
    conditions.set("PodScheduled", true, "");
    conditions.keep_others();

    let mut status = json!({
        "phase": phase,
        "conditions": conditions.all,
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": pod.status.start_time.clone().unwrap_or_else(|| rfc3339(run.started_us)),
        "containerStatuses": run.containers.iter().map(|c| container(c, pod)).collect::<Vec<_>>(),
        "observedGeneration": pod.metadata.generation,
    });
    if !run.init.is_empty() {
        status["initContainerStatuses"] = run.init.iter().map(|c| container(c, pod)).collect();
    }
    if let Some(ip) = &run.ip {
        status["podIP"] = json!(ip);
        status["podIPs"] = json!([{"ip": ip}]);
    }
    status
}

/// Conditions keep the time of their last change.
struct Conditions<'a> {
    previous: &'a [Value],
    now_us: i64,
    all: Vec<Value>,
}

impl Conditions<'_> {
    fn set(&mut self, kind: &str, holds: bool, reason_when_not: &str) {
        let status = if holds { "True" } else { "False" };
        let before = self.previous.iter().find(|c| c["type"] == kind && c["status"] == status);
        let since =
            before.and_then(|c| c["lastTransitionTime"].as_str()).map_or_else(|| rfc3339(self.now_us), str::to_owned);
        let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since, "lastProbeTime": null});
        if !holds && !reason_when_not.is_empty() {
            condition["reason"] = json!(reason_when_not);
        }
        if let Some(fields) = condition.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        self.all.push(condition);
    }

    fn keep_others(&mut self) {
        for condition in self.previous {
            if !self.all.iter().any(|ours| ours["type"] == condition["type"]) {
                self.all.push(condition.clone());
            }
        }
    }
}

fn container(run: &ContainerRun, pod: &PodSpec) -> Value {
    let terminated = |code: i32, since_us: i64, at_us: i64| {
        json!({
            "exitCode": code,
            "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": rfc3339(since_us),
            "finishedAt": rfc3339(at_us),
        })
    };
    let (state, ready) = match run.phase {
        Phase::Waiting => (json!({"waiting": {"reason": "PodInitializing"}}), false),
        Phase::Starting => (json!({"waiting": {"reason": "ContainerCreating"}}), false),
        Phase::Running { since_us, ready } => (json!({"running": {"startedAt": rfc3339(since_us)}}), ready),
        Phase::Exited { exit_code, since_us, at_us } => {
            let again = !pod.deleting() && pod.restarts_after(exit_code) && run.backing_off();
            if again {
                (
                    json!({"waiting": {"reason": "CrashLoopBackOff", "message": format!("back-off restarting failed container={}", run.name)}}),
                    false,
                )
            } else {
                (json!({"terminated": terminated(exit_code, since_us, at_us)}), false)
            }
        }
    };
    let started = matches!(run.phase, Phase::Running { .. });
    let mut status = json!({
        "name": run.name,
        "image": run.image,
        "imageID": if started { format!("simulated://{}", run.image) } else { String::new() },
        "ready": ready,
        "started": started,
        "restartCount": run.restarts,
        "state": state,
        "lastState": {},
    });
    if started {
        status["containerID"] = json!(format!("simulated://{}/{}/{}", pod.metadata.uid, run.name, run.restarts));
    }
    let last = match run.phase {
        Phase::Exited { exit_code, since_us, at_us } if run.backing_off() => Some((exit_code, since_us, at_us)),
        _ => run.last,
    };
    if let Some((code, since_us, at_us)) = last {
        status["lastState"] = json!({"terminated": terminated(code, since_us, at_us)});
    }
    status
}
