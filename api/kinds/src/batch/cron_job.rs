//! CronJob.

use serde_json::Value;

use super::{job, schedule};
use crate::findings::Findings;
use crate::kind::{age, boolean, column, integer, status, wide};
use crate::path::{Path, default, default_text, has, is_true, items, part, text};
use crate::pod_template::{self, wide_cells};
use crate::{Causes, Cell, Kind, Strategy, time};

/// CronJob.
pub static CRON_JOB: Kind = Kind {
    group: "batch",
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    schema: "io.k8s.api.batch.v1.CronJob",
    subresources: &[status("CronJob")],
    strategy: Strategy { default: set_defaults, validate, ..Strategy::SPEC_AND_STATUS },
    columns: &[
        column("Schedule"),
        column("Timezone"),
        boolean("Suspend"),
        integer("Active"),
        column("Last Schedule"),
        column("Age"),
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells,
    ..Kind::BASE
};

const SPEC: Path<'static> = Path::root("spec");
const NAME_BYTES_MAX: usize = 52;

fn set_defaults(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    default_text(spec, "concurrencyPolicy", "Allow");
    default(spec, "suspend", || false.into());
    default(spec, "successfulJobsHistoryLimit", || 3.into());
    default(spec, "failedJobsHistoryLimit", || 1.into());
    if let Some(spec) = part(spec, "jobTemplate").and_then(|t| part(t, "spec")) {
        pod_template::default(spec);
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    let timetable = text(spec, "schedule");
    let at = SPEC.field("schedule");
    if timetable.is_empty() {
        findings.required(at, "");
    } else {
        if let Err(message) = schedule::check(timetable) {
            findings.invalid(at, timetable, &message);
        }
        if timetable.contains("TZ") {
            let message = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            findings.invalid(at, timetable, message);
        }
    }
    if has(spec, "timeZone") {
        time_zone(text(spec, "timeZone"), &mut findings);
    }
    match text(spec, "concurrencyPolicy") {
        "" => findings.required(SPEC.field("concurrencyPolicy"), ""),
        policy => findings.one_of(SPEC.field("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]),
    }
    let counts = ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    findings.non_negatives(SPEC, spec, &counts);
    let at_template = SPEC.field("jobTemplate");
    let at_job = at_template.field("spec");
    let mut template = spec["jobTemplate"]["spec"].clone();
    // Defaults of the Jobs to come are theirs, not the CronJob's.
    default_text(&mut template, "completionMode", "NonIndexed");
    let replacement = if has(&template, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    default_text(&mut template, "podReplacementPolicy", replacement);
    job::validate_spec(&template, at_job, &mut findings);
    if has(&template, "selector") {
        findings.invalid(at_job.field("selector"), &template["selector"], "`selector` will be auto-generated");
    }
    if is_true(&template, "manualSelector") {
        findings.unsupported(at_job.field("manualSelector"), &template["manualSelector"], &["nil", "false"]);
    }
    // At an update the name is what it was.
    let name = text(&object["metadata"], "name");
    if name.len() > NAME_BYTES_MAX {
        findings.invalid(Path::root("metadata.name"), name, "must be no more than 52 characters");
    }
    findings.done()
}

/// Whether the zone exists is only known where it is used; here its name must be one.
fn time_zone(zone: &str, findings: &mut Findings) {
    let at = SPEC.field("timeZone");
    if zone.is_empty() {
        return findings.invalid(at, zone, "timeZone must be nil or non-empty string");
    }
    let sound = |part: &str| {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+');
        (1..=14).contains(&part.len())
            && !matches!(part, "." | "..")
            && !part.starts_with('-')
            && part.bytes().all(letter)
    };
    if !zone.split('/').all(sound) {
        return findings.invalid(at, zone, &format!("unknown time zone {zone}"));
    }
    if zone.eq_ignore_ascii_case("Local") {
        let message = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        findings.invalid(at, zone, message);
    }
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let zone = if has(spec, "timeZone") { text(spec, "timeZone") } else { "<none>" };
    let last = match text(status, "lastScheduleTime") {
        "" => "<none>".to_owned(),
        at => time::age(Some(at), now_us),
    };
    let suspended = if is_true(spec, "suspend") { "True" } else { "False" };
    let [containers, images, _] = wide_cells(&spec["jobTemplate"]["spec"]);
    vec![
        text(spec, "schedule").into(),
        zone.into(),
        suspended.into(),
        items(status, "active").len().into(),
        last.into(),
        age(object, now_us),
        containers,
        images,
        "<none>".into(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cron_jobs_are_judged_as_kubernetes_judges_them() {
        let check = |change: fn(&mut Value), expected: &[&str]| {
            let mut object = json!({"metadata": {"name": "c"}, "spec": {
                "schedule": "*/5 * * * *",
                "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "i"}]}}}},
            }});
            change(&mut object["spec"]);
            set_defaults(&mut object);
            let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(|_| {}, &[]);
        check(|s| s["schedule"] = json!("@daily"), &[]);
        check(
            |s| s["schedule"] = json!("* * * *"),
            &["spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * *]"],
        );
        check(
            |s| s["concurrencyPolicy"] = json!("x"),
            &["spec.concurrencyPolicy: Unsupported value: \"x\": supported values: \"Allow\", \"Forbid\", \"Replace\""],
        );
        check(|s| s["timeZone"] = json!("Etc/UTC"), &[]);
        check(|s| s["timeZone"] = json!("a b"), &["spec.timeZone: Invalid value: \"a b\": unknown time zone a b"]);
        check(
            |s| s["jobTemplate"]["spec"]["selector"] = json!({}),
            &["spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated"],
        );
    }
}
