//! Job.

use serde_json::{Value, json};

use crate::equality::same;
use crate::findings::{Findings, IMMUTABLE, Shown};
use crate::kind::{age, column, status, wide};
use crate::path::{Path, default, has, integer, is_true, items, part, set, text};
use crate::pod_template::{self, wide_cells};
use crate::selector::{self, Selector};
use crate::{Causes, Cell, Kind, Strategy, names, time};

/// Job.
pub static JOB: Kind = Kind {
    group: "batch",
    kind: "Job",
    plural: "jobs",
    singular: "job",
    categories: &["all"],
    schema: "io.k8s.api.batch.v1.Job",
    subresources: &[status("Job")],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            (Strategy::SPEC_AND_STATUS.prepare_create)(object);
            if !is_true(&object["spec"], "manualSelector") {
                own_pods(object);
            }
            label_as_template(object);
        },
        validate,
        validate_update,
        validate_status: |new, _| {
            let mut findings = Findings::default();
            let counts = ["active", "succeeded", "failed", "ready", "terminating"];
            findings.non_negatives(Path::root("status"), &new["status"], &counts);
            findings.done()
        },
        ..Strategy::SPEC_AND_STATUS
    },
    columns: &[
        column("Status"),
        column("Completions"),
        column("Duration"),
        column("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells,
    selectable: &[("status.successful", |o| integer(&o["status"], "succeeded").to_string())],
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");
const UID: &str = "batch.kubernetes.io/controller-uid";
const NAME: &str = "batch.kubernetes.io/job-name";
/// The older names of the same labels.
const OLD_UID: &str = "controller-uid";
const OLD_NAME: &str = "job-name";

/// Fills in what a Job leaves out.
fn set_defaults(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    default_spec(spec);
    label_as_template(object);
}

/// A Job without labels has those of its pods.
fn label_as_template(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let bare = object["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty);
    if bare && labels.is_object() {
        set(&mut object["metadata"], "labels", labels);
    }
}

/// Fills in what the spec of a Job, or of one that a CronJob makes, leaves out.
fn default_spec(spec: &mut Value) {
    pod_template::default(spec);
    if !has(spec, "completions") && !has(spec, "parallelism") {
        set(spec, "completions", 1.into());
    }
    default(spec, "parallelism", || 1.into());
    let per_index = has(spec, "backoffLimitPerIndex");
    default(spec, "backoffLimit", || if per_index { i64::from(i32::MAX).into() } else { 6.into() });
    default(spec, "completionMode", || "NonIndexed".into());
    default(spec, "suspend", || false.into());
    let policy = has(spec, "podFailurePolicy");
    default(spec, "podReplacementPolicy", || if policy { "Failed" } else { "TerminatingOrFailed" }.into());
    default(spec, "manualSelector", || false.into());
}

/// Labels and selects the pods of this very Job.
fn own_pods(object: &mut Value) {
    let (name, uid) = (object["metadata"]["name"].clone(), object["metadata"]["uid"].clone());
    let Some(spec) = part(object, "spec") else { return };
    default(spec, "template", || json!({}));
    default(&mut spec["template"], "metadata", || json!({}));
    default(&mut spec["template"]["metadata"], "labels", || json!({}));
    let labels = &mut spec["template"]["metadata"]["labels"];
    for (label, value) in [(OLD_NAME, &name), (NAME, &name), (OLD_UID, &uid), (UID, &uid)] {
        default(labels, label, || value.clone());
    }
    default(spec, "selector", || json!({}));
    default(&mut spec["selector"], "matchLabels", || json!({}));
    default(&mut spec["selector"]["matchLabels"], UID, || uid);
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let (spec, metadata) = (&object["spec"], &object["metadata"]);
    validate_spec(spec, SPEC, &mut findings);
    if !spec["selector"].is_object() {
        findings.required(SPEC.field("selector"), "");
        return findings.done();
    }
    selector::validate(&spec["selector"], SPEC.field("selector"), &mut findings);
    let selects = Selector::from_object(&spec["selector"]);
    let labels = &spec["template"]["metadata"]["labels"];
    if !selects.matches_json(labels) {
        let at = Path::root("spec.template.metadata.labels");
        findings.invalid(at, labels, "`selector` does not match template `labels`");
    }
    if !is_true(spec, "manualSelector") {
        let (name, uid) = (text(metadata, "name"), text(metadata, "uid"));
        let expected = json!({OLD_NAME: name, NAME: name, OLD_UID: uid, UID: uid});
        if !selects.matches_json(&expected) {
            findings.invalid(SPEC.field("selector"), &spec["selector"], "`selector` not auto-generated");
        }
    }
    if text(spec, "completionMode") == "Indexed" && integer(spec, "completions") > 0 {
        let host = format!("{}-{}", text(metadata, "name"), integer(spec, "completions") - 1);
        if !names::dns1123_label(&host).is_empty() {
            let message = format!("will not able to create pod with invalid DNS label: {host}");
            findings.invalid(Path::root("metadata.name"), text(metadata, "name"), &message);
        }
    }
    findings.done()
}

/// Findings about the spec of a Job, or of one that a CronJob makes.
pub(super) fn validate_spec(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    findings.non_negatives(at, spec, &counts);
    let (most, per_index) = (spec["maxFailedIndexes"].as_i64(), spec["backoffLimitPerIndex"].as_i64());
    if most.is_some() && per_index.is_none() {
        findings.required(at.field("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    let mode = text(spec, "completionMode");
    findings.one_of(at.field("completionMode"), mode, &["NonIndexed", "Indexed"]);
    if mode == "Indexed" {
        if !has(spec, "completions") {
            findings.required(at.field("completions"), "when completion mode is Indexed");
        } else if let Some(most) = most.filter(|most| *most > integer(spec, "completions")) {
            findings.invalid(at.field("maxFailedIndexes"), most, "must be less than or equal to completions");
        }
    } else {
        for (field, value) in [("backoffLimitPerIndex", per_index), ("maxFailedIndexes", most)] {
            if let Some(value) = value {
                findings.invalid(at.field(field), value, "requires indexed completion mode");
            }
        }
        if has(spec, "successPolicy") {
            findings.invalid(at.field("successPolicy"), &spec["successPolicy"], "requires indexed completion mode");
        }
    }
    if has(spec, "podFailurePolicy") {
        failure_policy(spec, at.field("podFailurePolicy"), findings);
    }
    let replacement = text(spec, "podReplacementPolicy");
    let supported: &[&str] =
        if has(spec, "podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    findings.one_of(at.field("podReplacementPolicy"), replacement, supported);
    let at_template = at.field("template");
    pod_template::validate(&spec["template"], at_template, findings);
    restart_policy(spec, at_template.field("spec"), findings);
}

fn restart_policy(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let (policy, at) = (text(&spec["template"]["spec"], "restartPolicy"), at.field("restartPolicy"));
    match policy {
        "Always" | "" => findings.required(at, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if has(spec, "podFailurePolicy") => {
            findings.invalid(at, policy, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" | "Never" => {}
        other => findings.unsupported(at, other, &["OnFailure", "Never"]),
    }
}

const RULES_MAX: usize = 20;

fn failure_policy(spec: &Value, at: Path<'_>, findings: &mut Findings) {
    let list = at.field("rules");
    let rules = items(&spec["podFailurePolicy"], "rules");
    if rules.len() > RULES_MAX {
        findings.too_many(list, rules.len(), RULES_MAX);
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = list.index(index);
        match text(rule, "action") {
            "" => {
                findings.required(at.field("action"), "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]")
            }
            "FailIndex" if !has(spec, "backoffLimitPerIndex") => {
                findings.invalid(at.field("action"), "FailIndex", "requires the backoffLimitPerIndex to be set");
            }
            action => findings.one_of(at.field("action"), action, &["Count", "FailIndex", "FailJob", "Ignore"]),
        }
        match (has(rule, "onExitCodes"), !items(rule, "onPodConditions").is_empty()) {
            (true, true) => {
                findings.invalid(
                    at,
                    Shown::Omitted,
                    "specifying both OnExitCodes and OnPodConditions is not supported",
                );
            }
            (false, false) => {
                findings.invalid(at, Shown::Omitted, "specifying one of OnExitCodes and OnPodConditions is required");
            }
            _ => {}
        }
        if has(rule, "onExitCodes") {
            exit_codes(&rule["onExitCodes"], at.field("onExitCodes"), findings);
        }
    }
}

fn exit_codes(codes: &Value, at: Path<'_>, findings: &mut Findings) {
    match text(codes, "operator") {
        "" => findings.required(at.field("operator"), "valid values: [\"In\" \"NotIn\"]"),
        operator => findings.one_of(at.field("operator"), operator, &["In", "NotIn"]),
    }
    let values: Vec<i64> = items(codes, "values").iter().filter_map(Value::as_i64).collect();
    let list = at.field("values");
    if values.is_empty() {
        findings.invalid(list, &codes["values"], "at least one value is required");
    }
    for (index, value) in values.iter().enumerate() {
        if *value == 0 && text(codes, "operator") == "In" {
            findings.invalid(list.index(index), 0, "must not be 0 for the In operator");
        }
        if values[..index].contains(value) {
            findings.duplicate(list.index(index), *value);
        }
    }
    if !values.is_sorted() {
        findings.invalid(list, &codes["values"], "must be ordered");
    }
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let (new, old) = (&new["spec"], &old["spec"]);
    let at = SPEC.field("completions");
    if !same(&new["completions"], &old["completions"]) {
        if text(new, "completionMode") != "Indexed" {
            findings.invalid(at, &new["completions"], IMMUTABLE);
        } else if new["completions"] != new["parallelism"] {
            findings.invalid(at, &new["completions"], "can only be modified in tandem with spec.parallelism");
        }
    }
    findings.immutable(SPEC.field("selector"), &new["selector"], &old["selector"]);
    template(new, old, &mut findings);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        findings.immutable(SPEC.field(field), &new[field], &old[field]);
    }
    findings.done()
}

/// The template stays; while a Job is suspended, where its pods may run and what they need may change.
fn template(new: &Value, old: &Value, findings: &mut Findings) {
    let mut before = old["template"].clone();
    let after = &new["template"];
    if is_true(old, "suspend") {
        for field in ["annotations", "labels"] {
            take(&mut before["metadata"], &after["metadata"], field);
        }
        for field in ["nodeSelector", "tolerations", "schedulingGates", "affinity"] {
            take(&mut before["spec"], &after["spec"], field);
        }
        for list in ["containers", "initContainers"] {
            let containers = before["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            for (container, now) in containers.zip(items(&after["spec"], list)) {
                take(container, now, "resources");
            }
        }
    }
    findings.immutable(SPEC.field("template"), after, &before);
}

fn take(into: &mut Value, from: &Value, field: &str) {
    match from.get(field) {
        Some(value) if into.is_object() => set(into, field, value.clone()),
        _ => drop(crate::path::remove(into, field)),
    }
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = integer(status, "succeeded");
    let completions = match spec["completions"].as_i64() {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if integer(spec, "parallelism") > 1 => format!("{succeeded}/1 of {}", integer(spec, "parallelism")),
        None => format!("{succeeded}/1"),
    };
    let end = time::parse(text(status, "completionTime")).unwrap_or(now_us);
    let duration = time::parse(text(status, "startTime")).map(|start| time::human_duration(end - start));
    let is = |kind: &str| items(status, "conditions").iter().any(|c| c["type"] == kind && c["status"] == "True");
    let state = match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if has(&object["metadata"], "deletionTimestamp") => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    let [containers, images, selector] = wide_cells(spec);
    vec![
        state.into(),
        completions.into(),
        duration.unwrap_or_default().into(),
        age(object, now_us),
        containers,
        images,
        selector,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Value {
        json!({"metadata": {"name": "pi", "uid": "u-1"}, "spec": {
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}},
        }})
    }

    fn made(change: fn(&mut Value)) -> Value {
        let mut object = job();
        change(&mut object["spec"]);
        set_defaults(&mut object);
        (JOB.strategy.prepare_create)(&mut object);
        object
    }

    #[test]
    fn a_job_selects_its_own_pods() {
        let object = made(|_| {});
        assert_eq!(validate(&object), []);
        assert_eq!(object["spec"]["selector"]["matchLabels"], json!({UID: "u-1"}));
        assert_eq!(
            object["spec"]["template"]["metadata"]["labels"],
            json!({"job-name": "pi", NAME: "pi", "controller-uid": "u-1", UID: "u-1"})
        );
        assert_eq!((&object["spec"]["completions"], &object["spec"]["backoffLimit"]), (&json!(1), &json!(6)));
    }

    #[test]
    fn jobs_are_judged_as_kubernetes_judges_them() {
        let check = |change: fn(&mut Value), expected: &[&str]| {
            let found: Vec<String> = validate(&made(change)).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(
            |s| s["template"]["spec"]["restartPolicy"] = json!("Always"),
            &["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
        );
        check(|s| s["completionMode"] = json!("Indexed"), &[]);
        check(
            |s| s["backoffLimitPerIndex"] = json!(1),
            &["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
        );
        check(
            |s| s["parallelism"] = json!(-1),
            &["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"],
        );
    }

    #[test]
    fn the_template_stays_but_for_a_suspended_job() {
        let check = |suspend: bool, expected: usize| {
            let mut old = made(|_| {});
            old["spec"]["suspend"] = json!(suspend);
            let mut new = old.clone();
            new["spec"]["template"]["spec"]["nodeSelector"] = json!({"a": "b"});
            assert_eq!(validate_update(&new, &old).len(), expected);
        };
        check(true, 0);
        check(false, 1);
    }

    #[test]
    fn a_row_shows_how_far_it_is() {
        let mut object = made(|_| {});
        object["status"] = json!({"startTime": "1970-01-01T00:00:00Z", "succeeded": 1, "completionTime": "1970-01-01T00:00:30Z",
                                   "conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(cells(&object, 90_000_000)[..3], [json!("Complete"), json!("1/1"), json!("30s")]);
    }
}
