//! Validation of containers.

use serde_json::Value;

use super::volumes::Volumes;
use super::{env, mounts, probes, resources, security};
use crate::findings::Findings;
use crate::names;
use crate::path::{Path, count, has, integer, items, text};

pub(super) const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
pub(super) const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const MESSAGE_POLICIES: &[&str] = &["File", "FallbackToLogsOnError"];
const RESTART_POLICIES: &[&str] = &["Always", "Never", "OnFailure"];
const RESTART_RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

/// What containers are judged against.
pub(super) struct Surroundings<'a> {
    pub(super) spec: &'a Value,
    pub(super) volumes: Volumes<'a>,
}

impl Surroundings<'_> {
    fn host_users(&self) -> bool {
        self.spec["hostUsers"] != false
    }

    /// Seconds, when the pod says so.
    pub(super) fn grace_s(&self) -> Option<i64> {
        self.spec["terminationGracePeriodSeconds"].as_i64()
    }
}

/// Findings about `containers` and `initContainers` of a spec.
pub(super) fn validate(around: &Surroundings<'_>, at: Path<'_>, findings: &mut Findings) {
    let (regular, init) = (items(around.spec, "containers"), items(around.spec, "initContainers"));
    let list = at.field("containers");
    let mut names: Vec<&str> = Vec::with_capacity(regular.len() + init.len());
    if regular.is_empty() {
        findings.required(list, "");
    }
    let mut ports = Vec::new();
    for (index, container) in regular.iter().enumerate() {
        let at = list.index(index);
        common(around, container, at, findings);
        unique_name(container, at, &mut names, findings);
        life(around, container, at, findings);
        restarts(container, at, findings);
    }
    for (index, container) in regular.iter().enumerate() {
        host_ports(container, list.index(index), &mut ports, findings);
    }
    let list = at.field("initContainers");
    for (index, container) in init.iter().enumerate() {
        let at = list.index(index);
        common(around, container, at, findings);
        restarts(container, at, findings);
        unique_name(container, at, &mut names, findings);
        host_ports(container, at, &mut Vec::new(), findings);
        if text(container, "restartPolicy") == "Always" {
            life(around, container, at, findings);
        } else {
            for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if has(container, field) {
                    findings
                        .forbidden(at.field(field), "may not be set for init containers without restartPolicy=Always");
                }
            }
        }
    }
}

/// What containers that are added to a running pod cannot have: it is not to rely on them.
const NOT_EPHEMERAL: &[&str] = &[
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// Findings about `ephemeralContainers` of a spec.
pub(super) fn validate_ephemeral(around: &Surroundings<'_>, at: Path<'_>, findings: &mut Findings) {
    let others = items(around.spec, "containers").iter().chain(items(around.spec, "initContainers"));
    let others: Vec<&str> = others.map(|container| text(container, "name")).collect();
    let mut names = others.clone();
    let (list, never) = (at.field("ephemeralContainers"), "cannot be set for an Ephemeral Container");
    for (index, container) in items(around.spec, "ephemeralContainers").iter().enumerate() {
        let at = list.index(index);
        common(around, container, at, findings);
        unique_name(container, at, &mut names, findings);
        let target = text(container, "targetContainerName");
        if !target.is_empty() && !others.contains(&target) {
            findings.not_found(at.field("targetContainerName"), target);
        }
        for field in NOT_EPHEMERAL.iter().filter(|field| is_set(&container[**field])) {
            findings.forbidden(at.field(field), never);
        }
        let mounts = at.field("volumeMounts");
        for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
            for field in ["subPath", "subPathExpr"].into_iter().filter(|field| !text(mount, field).is_empty()) {
                findings.forbidden(mounts.index(index).field(field), never);
            }
        }
    }
}

/// Neither absent nor empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

fn unique_name<'a>(container: &'a Value, at: Path<'_>, names: &mut Vec<&'a str>, findings: &mut Findings) {
    let name = text(container, "name");
    if names.contains(&name) {
        findings.duplicate(at.field("name"), name);
    } else {
        names.push(name);
    }
}

fn common(around: &Surroundings<'_>, container: &Value, at: Path<'_>, findings: &mut Findings) {
    match text(container, "name") {
        "" => findings.required(at.field("name"), ""),
        name => findings.names(at.field("name"), name, names::dns1123_label(name)),
    }
    if text(container, "image").is_empty() {
        findings.required(at.field("image"), "");
    }
    match text(container, "terminationMessagePolicy") {
        "" => findings.required(at.field("terminationMessagePolicy"), ""),
        policy => findings.one_of(at.field("terminationMessagePolicy"), policy, MESSAGE_POLICIES),
    }
    ports(container, at.field("ports"), findings);
    env::validate(container, at.field("env"), findings);
    env::validate_from(container, at.field("envFrom"), findings);
    mounts::validate(container, &around.volumes, at, findings);
    pull_policy(container, "imagePullPolicy", at, findings);
    resources::validate(&container["resources"], at.field("resources"), findings);
    resize_policy(container, around.spec, at.field("resizePolicy"), findings);
    security::container(&container["securityContext"], around.host_users(), at.field("securityContext"), findings);
}

/// Findings about a policy of pulling images.
pub(super) fn pull_policy(value: &Value, field: &str, at: Path<'_>, findings: &mut Findings) {
    match text(value, field) {
        "" => findings.required(at.field(field), ""),
        policy => findings.one_of(at.field(field), policy, PULL_POLICIES),
    }
}

fn ports(container: &Value, list: Path<'_>, findings: &mut Findings) {
    let mut seen = Vec::new();
    for (index, port) in items(container, "ports").iter().enumerate() {
        let at = list.index(index);
        let name = text(port, "name");
        if !name.is_empty() {
            let messages = names::port_name(name);
            if messages.is_empty() && seen.contains(&name) {
                findings.duplicate(at.field("name"), name);
            }
            findings.names(at.field("name"), name, messages);
            seen.push(name);
        }
        match integer(port, "containerPort") {
            0 => findings.required(at.field("containerPort"), ""),
            number => port_number(at.field("containerPort"), number, findings),
        }
        match integer(port, "hostPort") {
            0 => {}
            number => port_number(at.field("hostPort"), number, findings),
        }
        match text(port, "protocol") {
            "" => findings.required(at.field("protocol"), ""),
            protocol => findings.one_of(at.field("protocol"), protocol, PROTOCOLS),
        }
    }
}

/// Findings about the number of a port.
pub(crate) fn port_number(at: Path<'_>, number: i64, findings: &mut Findings) {
    for message in names::port_number(number) {
        findings.invalid(at, number, &message);
    }
}

/// Findings about a port that is given by number or by name.
pub(crate) fn port_number_or_name(at: Path<'_>, port: &Value, findings: &mut Findings) {
    match port {
        Value::String(name) => findings.names(at, name, names::port_name(name)),
        port => port_number(at, port.as_i64().unwrap_or(0), findings),
    }
}

fn host_ports(container: &Value, at: Path<'_>, taken: &mut Vec<String>, findings: &mut Findings) {
    let list = at.field("ports");
    for (index, port) in items(container, "ports").iter().enumerate() {
        let number = integer(port, "hostPort");
        if number == 0 {
            continue;
        }
        let id = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
        if taken.contains(&id) {
            findings.duplicate(list.index(index).field("hostPort"), id.as_str());
        } else {
            taken.push(id);
        }
    }
}

/// Hooks and probes.
fn life(around: &Surroundings<'_>, container: &Value, at: Path<'_>, findings: &mut Findings) {
    probes::lifecycle(&container["lifecycle"], around.grace_s(), at.field("lifecycle"), findings);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if has(container, probe) {
            probes::validate(&container[probe], probe, at.field(probe), findings);
        }
    }
}

/// The restart policy of a single container, and its rules (KEP-5307).
fn restarts(container: &Value, at: Path<'_>, findings: &mut Findings) {
    let rules = items(container, "restartPolicyRules");
    match text(container, "restartPolicy") {
        "" if !rules.is_empty() => {
            findings.required(at.field("restartPolicy"), "must specify restartPolicy when restart rules are used");
        }
        "" => {}
        policy => findings.one_of(at.field("restartPolicy"), policy, RESTART_POLICIES),
    }
    let list = at.field("restartPolicyRules");
    if rules.len() > RESTART_RULES_MAX {
        findings.too_many(list, rules.len(), RESTART_RULES_MAX);
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = list.index(index);
        findings.one_of(at.field("action"), text(rule, "action"), &["Restart", "RestartAllContainers"]);
        let codes = &rule["exitCodes"];
        if !codes.is_object() {
            findings.required(at.field("exitCodes"), "must be specified");
            continue;
        }
        let at = at.field("exitCodes");
        findings.one_of(at.field("operator"), text(codes, "operator"), &["In", "NotIn"]);
        if count(codes, "values") > EXIT_CODES_MAX {
            findings.too_many(at.field("values"), count(codes, "values"), EXIT_CODES_MAX);
        }
    }
}

fn resize_policy(container: &Value, spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let mut seen = Vec::new();
    for (index, policy) in items(container, "resizePolicy").iter().enumerate() {
        let (resource, restart) = (text(policy, "resourceName"), text(policy, "restartPolicy"));
        if seen.contains(&resource) {
            findings.duplicate(at.index(index), resource);
        }
        seen.push(resource);
        for (value, supported) in
            [(resource, &["cpu", "memory"][..]), (restart, &["NotRequired", "RestartContainer"][..])]
        {
            match value {
                "" => findings.required(at, ""),
                value => findings.one_of(at, value, supported),
            }
        }
        if text(spec, "restartPolicy") == "Never" && restart != "NotRequired" {
            findings.invalid(at, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
        }
    }
}
