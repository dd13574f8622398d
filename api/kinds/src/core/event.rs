//! Event (core/v1).

use serde_json::Value;

use crate::kind::{column, wide};
use crate::path::{Findings, text};
use crate::{Causes, Cell, Kind, Strategy, time};

/// Event.
pub static EVENT: Kind = Kind {
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    schema: "io.k8s.api.core.v1.Event",
    strategy: Strategy { validate, ..Strategy::PLAIN },
    columns: &[
        column("Last Seen"),
        column("Type"),
        column("Reason"),
        column("Object"),
        wide("Subobject"),
        wide("Source"),
        column("Message"),
        wide("First Seen"),
        wide("Count"),
        wide("Name"),
    ],
    cells,
    selectable: &[
        ("involvedObject.kind", |o| text(&o["involvedObject"], "kind").to_owned()),
        ("involvedObject.namespace", |o| text(&o["involvedObject"], "namespace").to_owned()),
        ("involvedObject.name", |o| text(&o["involvedObject"], "name").to_owned()),
        ("involvedObject.uid", |o| text(&o["involvedObject"], "uid").to_owned()),
        ("involvedObject.apiVersion", |o| text(&o["involvedObject"], "apiVersion").to_owned()),
        ("involvedObject.resourceVersion", |o| text(&o["involvedObject"], "resourceVersion").to_owned()),
        ("involvedObject.fieldPath", |o| text(&o["involvedObject"], "fieldPath").to_owned()),
        ("reason", |o| text(o, "reason").to_owned()),
        ("reportingComponent", |o| text(o, "reportingComponent").to_owned()),
        ("source", |o| text(&o["source"], "component").to_owned()),
        ("type", |o| text(o, "type").to_owned()),
    ],
    ..Kind::BASE
};

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let namespace = text(&object["metadata"], "namespace");
    let regarding = text(&object["involvedObject"], "namespace");
    let expected = if regarding.is_empty() { "default" } else { regarding };
    if namespace != expected {
        findings.invalid("involvedObject.namespace", &Value::from(regarding), "does not match event.namespace");
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let regarding = &object["involvedObject"];
    let ago = |field: &str| {
        let at = object[field].as_str().or_else(|| object["eventTime"].as_str());
        time::age(at, now_us)
    };
    let source = &object["source"];
    let component = match text(source, "component") {
        "" => text(object, "reportingComponent"),
        component => component,
    };
    let source = match text(source, "host") {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    };
    vec![
        ago("lastTimestamp").into(),
        text(object, "type").into(),
        text(object, "reason").into(),
        format!("{}/{}", text(regarding, "kind").to_lowercase(), text(regarding, "name")).into(),
        text(regarding, "fieldPath").into(),
        source.into(),
        text(object, "message").trim().into(),
        ago("firstTimestamp").into(),
        object["count"].as_i64().unwrap_or(1).to_string().into(),
        text(&object["metadata"], "name").into(),
    ]
}
