//! A pod's row in tables: the status that people know from `kubectl get pods`.

use serde_json::Value;

use crate::kind::age;
use crate::path::{has, integer, is_true, items, text};
use crate::{Cell, time};

/// What the containers of a pod come to.
#[derive(Default)]
struct Sum {
    ready: usize,
    restarts: i64,
    last_restart_us: Option<i64>,
}

impl Sum {
    fn count(&mut self, container: &Value) {
        self.restarts += integer(container, "restartCount");
        let at = text(&container["lastState"]["terminated"], "finishedAt");
        if let Some(at) = time::parse(at) {
            self.last_restart_us = Some(self.last_restart_us.map_or(at, |known| known.max(at)));
        }
    }
}

pub(super) fn cells(pod: &Value, now_us: i64) -> Vec<Cell> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let phase = text(status, "phase");
    let mut reason = match text(status, "reason") {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    if conditions(status).any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated") {
        reason = "SchedulingGated".to_owned();
    }
    let (mut all, mut sidecars) = (Sum::default(), Sum::default());
    let initializing = init(pod, &mut reason, &mut all, &mut sidecars);
    if !initializing || conditions(status).any(|c| c["type"] == "Initialized" && c["status"] == "True") {
        all = sidecars;
        regular(status, &mut reason, &mut all);
    } else {
        all.ready = sidecars.ready;
    }
    if has(&pod["metadata"], "deletionTimestamp") {
        if text(status, "reason") == "NodeLost" {
            reason = "Unknown".to_owned();
        } else if !matches!(phase, "Failed" | "Succeeded") {
            reason = "Terminating".to_owned();
        }
    }
    let total =
        items(spec, "containers").len() + items(spec, "initContainers").iter().filter(|c| is_sidecar(c)).count();
    let restarts = match all.last_restart_us {
        Some(at) if all.restarts != 0 => format!("{} ({} ago)", all.restarts, time::human_duration(now_us - at)),
        _ => all.restarts.to_string(),
    };
    let or_none = |value: &str| if value.is_empty() { "<none>".to_owned() } else { value.to_owned() };
    let ip = items(status, "podIPs").first().map_or_else(|| text(status, "podIP"), |first| text(first, "ip"));
    vec![
        format!("{}/{total}", all.ready).into(),
        reason.into(),
        restarts.into(),
        age(pod, now_us),
        or_none(ip).into(),
        or_none(text(spec, "nodeName")).into(),
        or_none(text(status, "nominatedNodeName")).into(),
        gates(pod).into(),
    ]
}

fn conditions(status: &Value) -> impl Iterator<Item = &Value> {
    items(status, "conditions").iter()
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

/// Whether init containers still run, and what the first of them says.
fn init(pod: &Value, reason: &mut String, all: &mut Sum, sidecars: &mut Sum) -> bool {
    let specs = items(&pod["spec"], "initContainers");
    for (index, container) in items(&pod["status"], "initContainerStatuses").iter().enumerate() {
        all.count(container);
        let sidecar = specs.iter().any(|c| text(c, "name") == text(container, "name") && is_sidecar(c));
        if sidecar {
            sidecars.count(container);
        }
        let (waiting, ended) = (&container["state"]["waiting"], &container["state"]["terminated"]);
        if ended.is_object() && integer(ended, "exitCode") == 0 {
            continue;
        }
        if sidecar && is_true(container, "started") {
            sidecars.ready += usize::from(is_true(container, "ready"));
            continue;
        }
        *reason = if ended.is_object() {
            format!("Init:{}", why(ended))
        } else {
            match text(waiting, "reason") {
                "" | "PodInitializing" => format!("Init:{index}/{}", specs.len()),
                why => format!("Init:{why}"),
            }
        };
        return true;
    }
    false
}

/// Why a container ended.
fn why(ended: &Value) -> String {
    match (text(ended, "reason"), integer(ended, "signal")) {
        ("", 0) => format!("ExitCode:{}", integer(ended, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn regular(status: &Value, reason: &mut String, all: &mut Sum) {
    let mut running = false;
    for container in items(status, "containerStatuses").iter().rev() {
        all.count(container);
        let (waiting, ended) = (&container["state"]["waiting"], &container["state"]["terminated"]);
        if !text(waiting, "reason").is_empty() {
            *reason = text(waiting, "reason").to_owned();
        } else if ended.is_object() {
            *reason = why(ended);
        } else if is_true(container, "ready") && has(&container["state"], "running") {
            running = true;
            all.ready += 1;
        }
    }
    if reason == "Completed" && running {
        let is_ready = conditions(status).any(|c| c["type"] == "Ready" && c["status"] == "True");
        *reason = if is_ready { "Running" } else { "NotReady" }.to_owned();
    }
}

fn gates(pod: &Value) -> String {
    let gates = items(&pod["spec"], "readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open =
        |gate: &&Value| conditions(&pod["status"]).any(|c| c["type"] == gate["conditionType"] && c["status"] == "True");
    format!("{}/{}", gates.iter().filter(open).count(), gates.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pods_status_is_the_one_that_people_know() {
        let check = |pod: Value, expected: [&str; 3]| {
            let row = cells(&pod, 600_000_000);
            assert_eq!([row[0].as_str(), row[1].as_str(), row[2].as_str()], expected.map(Some), "{pod}");
        };
        let spec = json!({"containers": [{}, {}], "initContainers": [{"name": "i"}]});
        let running = json!({"ready": true, "state": {"running": {}}});
        check(json!({"spec": spec, "status": {"phase": "Pending"}}), ["0/2", "Pending", "0"]);
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}}),
            ["0/2", "Init:0/1", "0"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [{"state": {"terminated": {"exitCode": 2}}, "restartCount": 1}]}}),
            ["0/2", "Init:ExitCode:2", "1"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}),
            ["0/2", "Init:CrashLoopBackOff", "0"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [
                running,
                {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"finishedAt": "1970-01-01T00:00:00Z"}}}]}}),
            ["1/2", "CrashLoopBackOff", "3 (10m ago)"],
        );
        check(
            json!({"spec": spec, "metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Running", "containerStatuses": [running, running]}}),
            ["2/2", "Terminating", "0"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}}),
            ["0/2", "Completed", "0"],
        );
        check(
            json!({"spec": spec, "metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}}),
            ["0/2", "Completed", "0"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [running, {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}}),
            ["1/2", "NotReady", "0"],
        );
        let sidecar = json!({"containers": [{}], "initContainers": [{"name": "i", "restartPolicy": "Always"}]});
        check(
            json!({"spec": sidecar, "status": {"phase": "Running", "containerStatuses": [running], "initContainerStatuses": [
                {"name": "i", "started": true, "ready": true, "state": {"running": {}}}]}}),
            ["2/2", "Running", "0"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}}),
            ["0/2", "SchedulingGated", "0"],
        );
        check(json!({"spec": spec, "status": {"phase": "Failed", "reason": "Evicted"}}), ["0/2", "Evicted", "0"]);
    }
}
