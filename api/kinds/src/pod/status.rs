//! What may be written to a pod's status (`ValidatePodStatusUpdate`).

use std::net::IpAddr;

use serde_json::Value;

use crate::findings::Findings;
use crate::path::{Path, has, integer, items, text};
use crate::{Causes, names};

/// Findings about an update of a pod's status.
pub(super) fn validate(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let at = Path::root("status");
    let (status, before) = (&new["status"], &old["status"]);
    let list = at.field("conditions");
    for (index, condition) in items(status, "conditions").iter().enumerate() {
        let kind = text(condition, "type");
        if !["PodScheduled", "Ready", "Initialized"].contains(&kind) {
            findings.names(list.index(index).field("Type"), kind, names::qualified_name(kind));
        }
    }
    let nominated = text(status, "nominatedNodeName");
    if nominated != text(before, "nominatedNodeName") && !nominated.is_empty() {
        findings.names(at.field("nominatedNodeName"), nominated, names::dns1123_subdomain(nominated));
    }
    if integer(status, "observedGeneration") < 0 {
        findings.invalid(
            at.field("observedGeneration"),
            &status["observedGeneration"],
            "must be a non-negative integer",
        );
    }
    findings.immutable(at.field("qosClass"), &status["qosClass"], &before["qosClass"]);
    for field in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
        transitions(new, old, field, at.field(field), &mut findings);
    }
    addresses(status, at, &mut findings);
    findings.done()
}

/// A container that ended stays ended, unless it is to be restarted.
fn transitions(new: &Value, old: &Value, field: &str, list: Path<'_>, findings: &mut Findings) {
    let containers = match field {
        "containerStatuses" => "containers",
        "initContainerStatuses" => "initContainers",
        _ => "ephemeralContainers",
    };
    for (index, before) in items(&old["status"], field).iter().enumerate() {
        let ended = &before["state"]["terminated"];
        let name = text(before, "name");
        if !ended.is_object() {
            continue;
        }
        let now = items(&new["status"], field).iter().find(|s| text(s, "name") == name);
        let revived = now.is_some_and(|s| !has(&s["state"], "terminated"));
        let container = items(&old["spec"], containers).iter().find(|c| text(c, "name") == name);
        if revived && !may_restart(&old["spec"], container, field, ended) {
            findings.forbidden(list.index(index).field("state"), "may not be transitioned to non-terminated state");
        }
    }
}

fn may_restart(spec: &Value, container: Option<&Value>, field: &str, ended: &Value) -> bool {
    let failed = integer(ended, "exitCode") != 0;
    let own = container.map_or("", |c| text(c, "restartPolicy"));
    if container.is_some_and(|c| !items(c, "restartPolicyRules").is_empty()) {
        return true;
    }
    match (own, text(spec, "restartPolicy")) {
        ("Always", _) => true,
        ("OnFailure", _) => failed,
        ("Never", _) => false,
        (_, "Always") => field != "ephemeralContainerStatuses",
        (_, "OnFailure") => failed && field != "ephemeralContainerStatuses",
        _ => false,
    }
}

fn addresses(status: &Value, at: Path<'_>, findings: &mut Findings) {
    for (field, one, many) in [("podIPs", "podIP", "podIP and podIPs"), ("hostIPs", "hostIP", "hostIP and hostIPs")] {
        let list = items(status, field);
        let at = at.field(field);
        for (index, ip) in list.iter().map(|i| text(i, "ip")).enumerate() {
            findings.names(at.index(index), ip, names::legacy_ip_address(ip));
        }
        if let Some((index, ip)) = list
            .iter()
            .map(|i| text(i, "ip"))
            .enumerate()
            .find(|(_, ip)| list.len() > 1 && ip.parse::<IpAddr>().is_err())
        {
            findings.internal(at, &format!("failed to check for dual stack with error:invalid IP[{index}]: {ip}"));
            findings.invalid(at, &status[field], "may specify no more than one IP for each IP family");
            continue;
        }
        let families = |v6: bool| list.iter().filter(|i| text(i, "ip").contains(':') == v6).count();
        if list.len() > 1 && (families(true) > 1 || families(false) > 1) {
            findings.invalid(at, &status[field], "may specify no more than one IP for each IP family");
        }
        if field == "podIPs" {
            let first = text(status, one);
            if first.is_empty() != list.is_empty() {
                let message = format!("{many} must either both be set or both be unset");
                findings.invalid(at, &status[field], &message);
            } else if !list.is_empty() && text(&list[0], "ip") != first {
                findings.invalid(at.index(0).field("ip"), text(&list[0], "ip"), "must be equal to `podIP`");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_that_ended_stays_ended() {
        let check = |policy: &str, code: i64, expected: usize| {
            let pod = |state: Value| {
                json!({"spec": {"restartPolicy": policy, "containers": [{"name": "c"}]},
                       "status": {"qosClass": "BestEffort", "containerStatuses": [{"name": "c", "state": state}]}})
            };
            let found = validate(&pod(json!({"running": {}})), &pod(json!({"terminated": {"exitCode": code}})));
            assert_eq!(found.len(), expected, "{policy} {code}");
        };
        check("Always", 0, 0);
        check("OnFailure", 1, 0);
        check("OnFailure", 0, 1);
        check("Never", 1, 1);
    }

    #[test]
    fn addresses_agree_with_each_other() {
        let check = |status: Value, expected: usize| {
            assert_eq!(validate(&json!({"status": status}), &json!({"status": {}})).len(), expected, "{status}");
        };
        check(json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}), 0);
        check(json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.2"}]}), 1);
        check(json!({"podIP": "10.0.0.1"}), 1);
        check(json!({"podIP": "x", "podIPs": [{"ip": "x"}]}), 1);
    }
}
