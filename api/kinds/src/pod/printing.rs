//! A pod's row in tables: the status that people know from `kubectl get pods`.

use serde_json::Value;

use crate::kind::age;
use crate::path::text;
use crate::{Cell, time};

pub(super) fn cells(pod: &Value, now_us: i64) -> Vec<Cell> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let mut reason = text(status, "phase").to_owned();
    if !text(status, "reason").is_empty() {
        reason = text(status, "reason").to_owned();
    }
    let gated = conditions(status).any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated");
    if gated {
        reason = "SchedulingGated".to_owned();
    }
    let mut restarts = 0;
    let mut last_restart = None;
    let initializing = init_reason(pod, &mut reason, &mut restarts);
    let mut ready = 0;
    if !initializing {
        restarts = 0;
        ready = container_reason(status, &mut reason, &mut restarts, &mut last_restart);
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        reason = if text(status, "reason") == "NodeLost" { "Unknown" } else { "Terminating" }.to_owned();
    }
    let total = spec["containers"].as_array().map_or(0, Vec::len);
    let restarts_shown = match last_restart {
        Some(at) if restarts > 0 => format!("{restarts} ({} ago)", time::human_duration(now_us - at)),
        _ => restarts.to_string(),
    };
    let or_none = |value: &str| if value.is_empty() { "<none>".to_owned() } else { value.to_owned() };
    vec![
        format!("{ready}/{total}").into(),
        reason.into(),
        restarts_shown.into(),
        age(pod, now_us),
        or_none(text(status, "podIP")).into(),
        or_none(text(spec, "nodeName")).into(),
        or_none(text(status, "nominatedNodeName")).into(),
        gates(pod).into(),
    ]
}

fn conditions(status: &Value) -> impl Iterator<Item = &Value> {
    status["conditions"].as_array().into_iter().flatten()
}

/// Whether init containers still run, and what they say.
fn init_reason(pod: &Value, reason: &mut String, restarts: &mut i64) -> bool {
    let total = pod["spec"]["initContainers"].as_array().map_or(0, Vec::len);
    for (index, container) in pod["status"]["initContainerStatuses"].as_array().into_iter().flatten().enumerate() {
        *restarts += container["restartCount"].as_i64().unwrap_or(0);
        let state = &container["state"];
        let ended = &state["terminated"];
        if ended["exitCode"] == 0 || container["started"] == true {
            continue;
        }
        *reason = if ended.is_object() {
            let (why, signal) = (text(ended, "reason"), ended["signal"].as_i64().unwrap_or(0));
            match (why, signal) {
                ("", 0) => format!("Init:ExitCode:{}", ended["exitCode"]),
                ("", signal) => format!("Init:Signal:{signal}"),
                (why, _) => format!("Init:{why}"),
            }
        } else {
            match text(&state["waiting"], "reason") {
                "" | "PodInitializing" => format!("Init:{index}/{total}"),
                why => format!("Init:{why}"),
            }
        };
        return true;
    }
    false
}

fn container_reason(status: &Value, reason: &mut String, restarts: &mut i64, last_restart: &mut Option<i64>) -> usize {
    let (mut ready, mut running) = (0, false);
    for container in status["containerStatuses"].as_array().into_iter().flatten().rev() {
        *restarts += container["restartCount"].as_i64().unwrap_or(0);
        if let Some(at) = container["lastState"]["terminated"]["finishedAt"].as_str().and_then(time::parse) {
            *last_restart = Some(last_restart.map_or(at, |known| known.max(at)));
        }
        let (waiting, ended) = (&container["state"]["waiting"], &container["state"]["terminated"]);
        if !text(waiting, "reason").is_empty() {
            *reason = text(waiting, "reason").to_owned();
        } else if ended.is_object() {
            *reason = match (text(ended, "reason"), ended["signal"].as_i64().unwrap_or(0)) {
                ("", 0) => format!("ExitCode:{}", ended["exitCode"]),
                ("", signal) => format!("Signal:{signal}"),
                (why, _) => why.to_owned(),
            };
        } else if container["ready"] == true && container["state"]["running"].is_object() {
            running = true;
            ready += 1;
        }
    }
    if reason == "Completed" && running {
        let is_ready = conditions(status).any(|c| c["type"] == "Ready" && c["status"] == "True");
        *reason = if is_ready { "Running" } else { "NotReady" }.to_owned();
    }
    ready
}

fn gates(pod: &Value) -> String {
    let gates = pod["spec"]["readinessGates"].as_array().map_or(&[][..], Vec::as_slice);
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
            let row = cells(&pod, 0);
            assert_eq!([row[0].as_str(), row[1].as_str(), row[2].as_str()], expected.map(Some), "{pod}");
        };
        let spec = json!({"containers": [{}, {}], "initContainers": [{}]});
        check(json!({"spec": spec, "status": {"phase": "Pending"}}), ["0/2", "Pending", "0"]);
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}}),
            ["0/2", "Init:0/1", "0"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [
                {"ready": true, "state": {"running": {}}},
                {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}),
            ["1/2", "CrashLoopBackOff", "3"],
        );
        check(
            json!({"spec": spec, "metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Running", "containerStatuses": [
                {"ready": true, "state": {"running": {}}}, {"ready": true, "state": {"running": {}}}]}}),
            ["2/2", "Terminating", "0"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}}),
            ["0/2", "Completed", "0"],
        );
    }
}
