//! Events as controllers report them: equal ones are counted up in one object, as client-go's recorder does.

use api_kinds::time::rfc3339;
use serde_json::{Value, json};

use crate::call::Report;

/// The name under which equal events meet: the object's name and a fingerprint of what is said.
pub(crate) fn name(report: &Report) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in [&report.uid, &report.reason, &report.message, &report.component] {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{}.{hash:016x}", report.name)
}

/// A first event.
pub(crate) fn first(report: &Report, now_us: i64) -> Value {
    let now = rfc3339(now_us);
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name(report), "namespace": namespace(report)},
        "involvedObject": {
            "kind": report.kind, "namespace": report.namespace, "name": report.name, "uid": report.uid, "apiVersion": report.api_version,
        },
        "reason": report.reason, "message": report.message, "type": report.severity,
        "source": {"component": report.component}, "reportingComponent": report.component, "reportingInstance": "",
        "firstTimestamp": now, "lastTimestamp": now, "count": 1, "eventTime": null,
    })
}

/// The same event once more.
pub(crate) fn again(old: &Value, now_us: i64) -> Value {
    let mut event = old.clone();
    event["count"] = (old["count"].as_i64().unwrap_or(1) + 1).into();
    event["lastTimestamp"] = rfc3339(now_us).into();
    if let Some(metadata) = event["metadata"].as_object_mut() {
        metadata.shift_remove("resourceVersion");
    }
    event
}

/// Events about objects without a namespace live in the default one.
pub(crate) fn namespace(report: &Report) -> &str {
    if report.namespace.is_empty() { "default" } else { &report.namespace }
}
