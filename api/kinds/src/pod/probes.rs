//! Validation of probes and lifecycle hooks.

use serde_json::Value;

use super::containers::{port_number, port_number_or_name};
use crate::findings::Findings;
use crate::names;
use crate::path::{Path, count, has, integer, items, text};

const HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// Findings about one of a container's probes, by its name.
pub(super) fn validate(probe: &Value, name: &str, at: Path<'_>, findings: &mut Findings) {
    handler(probe, None, at, findings);
    findings.non_negatives(
        at,
        probe,
        &["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"],
    );
    let grace = &probe["terminationGracePeriodSeconds"];
    if grace.as_i64().is_some_and(|seconds| seconds <= 0) {
        findings.invalid(at.field("terminationGracePeriodSeconds"), grace, "must be greater than 0");
    }
    if name == "readinessProbe" {
        if has(probe, "terminationGracePeriodSeconds") {
            findings.invalid(at.field("terminationGracePeriodSeconds"), grace, "must not be set for readinessProbes");
        }
    } else if integer(probe, "successThreshold") != 1 {
        findings.invalid(at.field("successThreshold"), integer(probe, "successThreshold"), "must be 1");
    }
}

/// Findings about a container's hooks.
pub(super) fn lifecycle(lifecycle: &Value, grace_s: Option<i64>, at: Path<'_>, findings: &mut Findings) {
    for hook in ["postStart", "preStop"] {
        if has(lifecycle, hook) {
            handler(&lifecycle[hook], grace_s, at.field(hook), findings);
        }
    }
}

fn handler(handler: &Value, grace_s: Option<i64>, at: Path<'_>, findings: &mut Findings) {
    let mut handlers = 0;
    for name in HANDLERS.iter().filter(|name| has(handler, name)) {
        handlers += 1;
        let (action, at) = (&handler[*name], at.field(name));
        if handlers > 1 {
            findings.forbidden(at, "may not specify more than 1 handler type");
            continue;
        }
        match *name {
            "exec" if count(action, "command") == 0 => findings.required(at.field("command"), ""),
            "httpGet" => http_get(action, at, findings),
            "tcpSocket" => port_number_or_name(at.field("port"), &action["port"], findings),
            "grpc" => port_number(at.field("port"), integer(action, "port"), findings),
            "sleep" => sleep(action, grace_s, at, findings),
            _ => {}
        }
    }
    if handlers == 0 {
        findings.required(at, "must specify a handler type");
    }
}

fn http_get(action: &Value, at: Path<'_>, findings: &mut Findings) {
    if text(action, "path").is_empty() {
        findings.required(at.field("path"), "");
    }
    port_number_or_name(at.field("port"), &action["port"], findings);
    findings.one_of(at.field("scheme"), text(action, "scheme"), &["HTTP", "HTTPS"]);
    for header in items(action, "httpHeaders") {
        let name = text(header, "name");
        findings.names(at.field("httpHeaders"), name, names::http_header(name));
    }
}

fn sleep(action: &Value, grace_s: Option<i64>, at: Path<'_>, findings: &mut Findings) {
    let seconds = integer(action, "seconds");
    if let Some(grace) = grace_s.filter(|grace| !(0..=*grace).contains(&seconds)) {
        let message = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        findings.invalid(at, seconds, &message);
    }
}
