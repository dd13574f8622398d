//! ControllerRevision: a past form of a StatefulSet or DaemonSet.

use serde_json::Value;

use crate::findings::Findings;
use crate::kind::{age, column};
use crate::path::{Path, is_true, items, text};
use crate::{Causes, Kind, Strategy, path};

/// ControllerRevision.
pub static CONTROLLER_REVISION: Kind = Kind {
    group: "apps",
    kind: "ControllerRevision",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    schema: "io.k8s.api.apps.v1.ControllerRevision",
    strategy: Strategy {
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            findings.immutable(Path::root("data"), &new["data"], &old["data"]);
            findings.done()
        },
        ..Strategy::PLAIN
    },
    columns: &[column("Controller"), column("Revision"), column("Age")],
    cells: |object, now_us| {
        vec![controller(object).into(), path::integer(object, "revision").to_string().into(), age(object, now_us)]
    },
    ..Kind::BASE
};

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    findings.non_negative(Path::root("revision"), &object["revision"]);
    match &object["data"] {
        Value::Null => findings.required(Path::root("data"), "data is mandatory"),
        Value::Object(_) => {}
        _ => findings.required(Path::root("data"), "data must be a valid JSON object"),
    }
    findings.done()
}

/// `statefulset.apps/web`
fn controller(object: &Value) -> String {
    let Some(owner) = items(&object["metadata"], "ownerReferences").iter().find(|o| is_true(o, "controller")) else {
        return "<none>".to_owned();
    };
    let kind = text(owner, "kind").to_lowercase();
    match text(owner, "apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", text(owner, "name")),
        None => format!("{kind}/{}", text(owner, "name")),
    }
}
