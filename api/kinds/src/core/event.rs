//! Event, in core/v1 and as events.k8s.io/v1: two forms of one stored object (the core one).

use serde_json::{Value, json};

use crate::findings::Findings;
use crate::kind::{Conversion, column, wide};
use crate::path::{Path, default, has, integer, remove, set, text};
use crate::{Causes, Cell, Kind, Strategy, names, time};

/// Event (core/v1).
pub static EVENT: Kind = Kind {
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    schema: "io.k8s.api.core.v1.Event",
    strategy: Strategy { default: core_defaults, validate, create_on_update: true, ..Strategy::PLAIN },
    name_cell: None,
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
        crate::Column { name: "Name", kind: "string", format: "name", priority: 1 },
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
        ("source", |o| source(o, "component", "reportingComponent").to_owned()),
        ("type", |o| text(o, "type").to_owned()),
    ],
    ..Kind::BASE
};

/// Event (events.k8s.io/v1): stored as a core Event.
pub static EVENTS_K8S_IO_EVENT: Kind = Kind {
    group: "events.k8s.io",
    schema: "io.k8s.api.events.v1.Event",
    strategy: Strategy {
        default: new_form_defaults,
        validate: validate_new_form,
        validate_update: validate_new_form_update,
        ..EVENT.strategy
    },
    cells: |event, now_us| {
        let mut event = event.clone();
        to_core(&mut event);
        cells(&event, now_us)
    },
    selectable: &[
        ("regarding.kind", |o| text(&o["regarding"], "kind").to_owned()),
        ("regarding.namespace", |o| text(&o["regarding"], "namespace").to_owned()),
        ("regarding.name", |o| text(&o["regarding"], "name").to_owned()),
        ("regarding.uid", |o| text(&o["regarding"], "uid").to_owned()),
        ("regarding.apiVersion", |o| text(&o["regarding"], "apiVersion").to_owned()),
        ("regarding.resourceVersion", |o| text(&o["regarding"], "resourceVersion").to_owned()),
        ("regarding.fieldPath", |o| text(&o["regarding"], "fieldPath").to_owned()),
        ("reason", |o| text(o, "reason").to_owned()),
        ("reportingController", |o| text(o, "reportingController").to_owned()),
        ("type", |o| text(o, "type").to_owned()),
    ],
    stored_as: Some(Conversion { storage: &EVENT, to_storage: to_core, from_storage: from_core }),
    ..EVENT
};

/// Fields of the core form, and what events.k8s.io calls them.
const RENAMED: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// How long one part of an event may be, in bytes.
const PART_BYTES_MAX: usize = 128;
const NOTE_BYTES_MAX: usize = 1024;

/// What decoding into Kubernetes' types gives every core event.
fn core_defaults(event: &mut Value) {
    for field in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        default(event, field, || Value::Null);
    }
    default(event, "source", || json!({}));
    for field in ["reportingComponent", "reportingInstance"] {
        default(event, field, || "".into());
    }
}

/// The same of the events.k8s.io form.
fn new_form_defaults(event: &mut Value) {
    for field in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"] {
        default(event, field, || Value::Null);
    }
    default(event, "deprecatedSource", || json!({}));
}

/// From the events.k8s.io form to the core form.
fn to_core(event: &mut Value) {
    rename(event, "v1", RENAMED.iter().map(|(core, new)| (*new, *core)));
}

/// From the core form to the events.k8s.io form.
fn from_core(event: &mut Value) {
    rename(event, "events.k8s.io/v1", RENAMED.iter().copied());
}

fn rename<'a>(event: &mut Value, api_version: &str, names: impl Iterator<Item = (&'a str, &'a str)>) {
    for (from, to) in names {
        if let Some(value) = remove(event, from) {
            set(event, to, value);
        }
    }
    if has(event, "apiVersion") {
        set(event, "apiVersion", api_version.into());
    }
}

fn validate(event: &Value) -> Causes {
    let mut findings = Findings::default();
    let namespace = text(&event["metadata"], "namespace");
    let regarding = text(&event["involvedObject"], "namespace");
    let at = Path::root("involvedObject.namespace");
    if !has(event, "eventTime") {
        let apart = if regarding.is_empty() { !matches!(namespace, "" | "default") } else { namespace != regarding };
        if apart {
            findings.invalid(at, regarding, "does not match event.namespace");
        }
        return findings.done();
    }
    if regarding.is_empty() && !matches!(namespace, "default" | "kube-system") {
        findings.invalid(at, regarding, "does not match event.namespace");
    }
    let controller = text(event, "reportingComponent");
    let at = Path::root("reportingComponent");
    if controller.is_empty() {
        findings.required(at, "");
    }
    findings.names(at, controller, names::qualified_name(controller));
    for field in ["reportingInstance", "action", "reason"] {
        match text(event, field) {
            "" => findings.required(Path::root(field), ""),
            long if long.len() > PART_BYTES_MAX => {
                findings.invalid(Path::root(field), "", &format!("can have at most {PART_BYTES_MAX} characters"));
            }
            _ => {}
        }
    }
    if text(event, "message").len() > NOTE_BYTES_MAX {
        findings.invalid(Path::root("message"), "", &format!("can have at most {NOTE_BYTES_MAX} characters"));
    }
    findings.done()
}

/// The newer form is judged as what it is stored as, and more strictly.
fn validate_new_form(event: &Value) -> Causes {
    let mut core = event.clone();
    to_core(&mut core);
    let mut findings = Findings::default();
    findings.extend(validate(&core));
    series(event, &mut findings);
    if !has(event, "eventTime") {
        findings.required(Path::root("eventTime"), "");
    }
    let kind = text(event, "type");
    if !["Normal", "Warning"].contains(&kind) {
        findings.invalid(Path::root("type"), "", &format!("has invalid value: {kind}"));
    }
    findings.done()
}

fn series(event: &Value, findings: &mut Findings) {
    let series = &event["series"];
    if !series.is_object() {
        return;
    }
    if integer(series, "count") < 2 {
        findings.invalid(Path::root("series.count"), "", "should be at least 2");
    }
    if !has(series, "lastObservedTime") {
        findings.required(Path::root("series.lastObservedTime"), "");
    }
}

/// Of an event, only its series goes on.
fn validate_new_form_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let mut forms = [new.clone(), old.clone()];
    forms.iter_mut().for_each(to_core);
    let [new, old] = &forms;
    for (field, shown) in [
        ("involvedObject", "involvedObject"),
        ("reason", "reason"),
        ("message", "message"),
        ("source", "source"),
        ("firstTimestamp", "firstTimestamp"),
        ("lastTimestamp", "lastTimestamp"),
        ("count", "count"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        findings.immutable(Path::root(shown), &new[field], &old[field]);
    }
    findings.done()
}

/// What of two sources an event has.
fn source<'a>(event: &'a Value, older: &str, newer: &str) -> &'a str {
    match text(&event["source"], older) {
        "" => text(event, newer),
        source => source,
    }
}

fn cells(event: &Value, now_us: i64) -> Vec<Cell> {
    let regarding = &event["involvedObject"];
    let ago = |at: &str| if at.is_empty() { "<unknown>".to_owned() } else { time::age(Some(at), now_us) };
    let first = match text(event, "firstTimestamp") {
        "" => ago(text(event, "eventTime")),
        at => ago(at),
    };
    let mut last = match text(event, "lastTimestamp") {
        "" => first.clone(),
        at => ago(at),
    };
    let mut count = integer(event, "count").max(1);
    if has(event, "series") {
        last = ago(text(&event["series"], "lastObservedTime"));
        count = integer(&event["series"], "count");
    }
    let kind = text(regarding, "kind").to_lowercase();
    let object = match text(regarding, "name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let component = source(event, "component", "reportingComponent");
    let component = match source(event, "host", "reportingInstance") {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    };
    vec![
        last.into(),
        text(event, "type").into(),
        text(event, "reason").into(),
        object.into(),
        text(regarding, "fieldPath").into(),
        component.into(),
        text(event, "message").trim().into(),
        first.into(),
        count.into(),
        text(&event["metadata"], "name").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_one_event() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "d"},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "d"}, "reason": "Started", "message": "It did.",
            "source": {"component": "kubelet", "host": "n1"}, "count": 3, "type": "Normal",
            "firstTimestamp": "1970-01-01T00:00:00Z", "lastTimestamp": "1970-01-01T00:01:00Z", "eventTime": null,
            "reportingComponent": "kubelet", "reportingInstance": "n1",
        });
        let mut event = core.clone();
        from_core(&mut event);
        assert_eq!(event["apiVersion"], "events.k8s.io/v1");
        assert_eq!((&event["note"], &event["deprecatedCount"]), (&json!("It did."), &json!(3)));
        assert!(event.get("message").is_none());
        let row = EVENTS_K8S_IO_EVENT.table_cells(&event, 120_000_000);
        assert_eq!(row, EVENT.table_cells(&core, 120_000_000));
        assert_eq!(row[..4], [json!("60s"), json!("Normal"), json!("Started"), json!("pod/p")]);
        assert_eq!(row[5], "kubelet, n1");
        to_core(&mut event);
        assert_eq!(event, core);
        assert_eq!(EVENTS_K8S_IO_EVENT.key("d", "e"), EVENT.key("d", "e"));
    }

    #[test]
    fn events_are_judged_as_kubernetes_judges_them() {
        let check = |event: Value, expected: &[&str]| {
            let found: Vec<String> = validate(&event).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(json!({"metadata": {"namespace": "d"}, "involvedObject": {"namespace": "d"}}), &[]);
        check(json!({"metadata": {"namespace": "default"}, "involvedObject": {}}), &[]);
        check(
            json!({"metadata": {"namespace": "d"}, "involvedObject": {"namespace": "e"}}),
            &["involvedObject.namespace: Invalid value: \"e\": does not match event.namespace"],
        );
        check(
            json!({"metadata": {"namespace": "d"}, "involvedObject": {"namespace": "d"}, "eventTime": "1970-01-01T00:00:00.000000Z",
                   "reportingComponent": "x", "action": "a", "reason": "r"}),
            &["reportingInstance: Required value"],
        );
    }

    #[test]
    fn of_a_newer_event_only_the_series_goes_on() {
        let old = json!({"reason": "a", "note": "n"});
        let mut new = old.clone();
        new["series"] = json!({"count": 2, "lastObservedTime": "1970-01-01T00:00:00.000000Z"});
        assert_eq!(validate_new_form_update(&new, &old), []);
        new["note"] = json!("m");
        assert_eq!(
            validate_new_form_update(&new, &old)[0].to_string(),
            "message: Invalid value: \"m\": field is immutable"
        );
    }
}
