//! Server-side apply: a manager says all that it wants, and owns that and no more.

use std::borrow::Cow;

use serde_json::Value;

use super::diff::{Diff, diff};
use super::extent::{named_in, owned};
use super::managers::{self, Entry, Operation};
use super::merge::merge;
use super::prune::prune;
use super::track::attribute;
use super::typing;
use super::{ApplyError, Conflict, FieldSet, Writer};
use crate::Schema;
use crate::check::{Empties, shape};

/// Who owns the fields of an object that had no managers before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Applies a configuration, [`typed`] before, to the live object (or to none). The result is what to default, validate and store; its
/// `managedFields` are written already, so do not track it as an update. When nothing changes the live object comes back as
/// it is, times included.
///
/// With `force`, fields of others are taken over instead of refused.
///
/// # Errors
/// With every conflict.
pub fn apply(
    schema: Schema<'_>,
    live: Option<&Value>,
    config: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    let time = api_kinds::time::rfc3339(writer.now_us);
    let stored = live.map(managers::of).unwrap_or_default();
    let mut entries = managers::read(stored).unwrap_or_default();
    if let Some(live) = live.filter(|_| entries.is_empty()) {
        adopt(schema, &mut entries, live, writer, &time);
    }

    let wanted = owned(schema, config, writer.reset);
    let place = entries.iter().position(|entry| entry.is_applier(writer.manager, writer.subresource));
    let previous = place.map(|place| entries.remove(place));
    let mut merged = merged(schema, live, config);
    if let Some(previous) = &previous {
        let named = named_in(schema, config, writer.reset);
        merged = dropped(schema, merged, &previous.fields, named, &entries);
    }

    let Diff { written, removed } = diff(schema, live, &merged, writer.reset);
    let conflicts = if force { Vec::new() } else { conflicts(&entries, &written) };
    if !conflicts.is_empty() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    for entry in &mut entries {
        entry.lose(&written);
        entry.lose(&removed);
    }
    let same_claim = previous.is_some_and(|p| p.fields == wanted && p.api_version == writer.api_version);
    if let Some(live) = live.filter(|_| same_claim && written.is_empty() && removed.is_empty()) {
        return Ok(live.clone());
    }
    entries.push(Entry {
        manager: Cow::Borrowed(writer.manager),
        operation: Operation::Apply,
        api_version: Cow::Borrowed(writer.api_version),
        time: Cow::Borrowed(&time),
        subresource: Cow::Borrowed(writer.subresource),
        fields: wanted,
        stored: None,
    });
    managers::settle(&mut entries);
    let list = managers::assemble(managers::write(&entries), stored.to_vec());
    managers::put(&mut merged, list);
    Ok(merged)
}

/// A configuration in canonical form. Call it once per request, on what the client sent: unlike other writes, an apply never
/// drops fields that the schema does not know.
///
/// # Errors
/// When the configuration does not fit the schema.
pub fn typed(schema: Schema<'_>, config: &Value) -> Result<Value, ApplyError> {
    let sent = config.get("metadata").and_then(|m| m.get("managedFields"));
    if sent.and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        return Err(ApplyError::ManagedFieldsPresent);
    }
    let mut config = config.clone();
    if let Some(finding) = typing::finding(schema, &config) {
        return Err(ApplyError::Untyped(finding));
    }
    shape(schema, &mut config, Empties::Kept).map_err(ApplyError::Inconvertible)?;
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    Ok(config)
}

/// Somebody must own what is there when the first configuration comes, or it would be taken over in silence.
fn adopt<'a>(schema: Schema<'a>, entries: &mut Vec<Entry<'a>>, live: &Value, writer: &Writer<'a>, time: &'a str) {
    let before = Writer { manager: BEFORE_FIRST_APPLY, subresource: "", ..*writer };
    attribute(entries, diff(schema, None, live, writer.reset), &before, time);
}

fn merged(schema: Schema<'_>, live: Option<&Value>, config: &Value) -> Value {
    match live {
        None => config.clone(),
        Some(live) => {
            let mut merged = live.clone();
            merge(schema, &mut merged, config);
            merged
        }
    }
}

/// Without what the manager names no more. What it names without owning it, as the object's name, counts as well: it holds
/// the structs around it.
fn dropped<'a>(
    schema: Schema<'_>,
    merged: Value,
    last: &FieldSet<'a>,
    named: FieldSet<'a>,
    others: &[Entry<'a>],
) -> Value {
    let mut given_up = last.clone();
    given_up.subtract(&named);
    if given_up.is_empty() {
        return merged;
    }
    let owned = others.iter().fold(named, |all, entry| all.union(entry.fields.clone()));
    prune(schema, merged, last, &owned)
}

fn conflicts(entries: &[Entry<'_>], written: &FieldSet<'_>) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for entry in entries {
        let contested = entry.fields.intersection(written);
        conflicts.extend(contested.paths().into_iter().map(|field| Conflict::new(entry, field)));
    }
    conflicts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::track_update;
    use super::*;

    fn deployment() -> Schema<'static> {
        Schema::named("io.k8s.api.apps.v1.Deployment").unwrap()
    }

    fn writer(manager: &str, second: i64) -> Writer<'_> {
        Writer { manager, api_version: "apps/v1", subresource: "", now_us: second * 1_000_000, reset: &[&["status"]] }
    }

    fn applied(live: Option<&Value>, config: &Value, manager: &str, second: i64) -> Result<Value, ApplyError> {
        apply(deployment(), live, &typed(deployment(), config)?, &writer(manager, second), false)
    }

    fn config(replicas: i64, image: &str) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "1"}},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
        })
    }

    fn claim<'v>(object: &'v Value, manager: &str) -> Option<&'v Value> {
        managers::of(object).iter().find(|e| e["manager"] == manager).map(|e| &e["fieldsV1"])
    }

    #[test]
    fn a_first_apply_owns_what_it_names() {
        let live = applied(None, &config(1, "i"), "kubectl", 1).unwrap();
        assert_eq!(
            live["metadata"]["managedFields"],
            json!([{
                "manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1", "time": "1970-01-01T00:00:01Z", "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:a": {}}},
                    "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}}}}}},
                },
            }])
        );
    }

    #[test]
    fn applying_twice_changes_nothing_not_even_times() {
        let first = applied(None, &config(1, "i"), "kubectl", 1).unwrap();
        assert_eq!(applied(Some(&first), &config(1, "i"), "kubectl", 9).unwrap(), first);
    }

    #[test]
    fn what_is_no_longer_applied_and_nobody_elses_goes_away() {
        let first = applied(None, &config(1, "i"), "kubectl", 1).unwrap();
        let mut less = config(1, "i");
        less["metadata"].as_object_mut().unwrap().remove("labels");
        less["spec"].as_object_mut().unwrap().remove("replicas");
        let second = applied(Some(&first), &less, "kubectl", 2).unwrap();
        assert_eq!(second["spec"].get("replicas"), None);
        assert_eq!(second["metadata"].get("labels"), None);

        let both = applied(Some(&first), &config(1, "i"), "other", 2).unwrap();
        let both = applied(Some(&both), &less, "kubectl", 3).unwrap();
        assert_eq!((&both["spec"]["replicas"], &both["metadata"]["labels"]["a"]), (&json!(1), &json!("1")));
        assert_eq!(claim(&both, "other").unwrap()["f:spec"]["f:replicas"], json!({}));
    }

    #[test]
    fn defaults_that_nobody_owns_stay() {
        let mut live = applied(None, &config(1, "i"), "kubectl", 1).unwrap();
        live["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
        live["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
        let next = applied(Some(&live), &config(1, "j"), "kubectl", 2).unwrap();
        assert_eq!(next["spec"]["template"]["spec"]["restartPolicy"], "Always");
        assert_eq!(
            next["spec"]["template"]["spec"]["containers"],
            json!([{"name": "c", "image": "j", "imagePullPolicy": "Always"}])
        );
    }

    #[test]
    fn another_managers_value_is_a_conflict_unless_forced() {
        let mut live = config(1, "i");
        track_update(deployment(), None, &mut live, &writer("kubectl-client-side-apply", 1));
        let error = applied(Some(&live), &config(2, "i"), "kubectl", 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas"
        );
        let forced = apply(deployment(), Some(&live), &config(2, "i"), &writer("kubectl", 2), true).unwrap();
        assert_eq!(forced["spec"]["replicas"], 2);
        assert_eq!(claim(&forced, "kubectl-client-side-apply").unwrap()["f:spec"].get("f:replicas"), None);
        // The loser no longer owns it: the winner may go on changing it.
        assert!(applied(Some(&forced), &config(3, "i"), "kubectl", 3).is_ok());
    }

    #[test]
    fn equal_values_are_shared_and_each_owner_holds_on() {
        let first = applied(None, &config(1, "i"), "one", 1).unwrap();
        let shared = applied(Some(&first), &config(1, "i"), "two", 2).unwrap();
        assert_eq!(claim(&shared, "one"), claim(&shared, "two"));
        let error = applied(Some(&shared), &config(2, "i"), "two", 3).unwrap_err();
        assert!(error.to_string().ends_with("conflict with \"one\": .spec.replicas"), "{error}");
    }

    #[test]
    fn items_of_others_stay_when_a_manager_drops_its_own() {
        let mut two = config(1, "i");
        let containers = two["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({"name": "sidecar", "image": "s"}));
        let first = applied(None, &two, "kubectl", 1).unwrap();
        let second = applied(Some(&first), &config(1, "i"), "kubectl", 2).unwrap();
        assert_eq!(second["spec"]["template"]["spec"]["containers"], json!([{"name": "c", "image": "i"}]));
    }

    #[test]
    fn objects_without_managers_belong_to_what_was_before() {
        let live = config(1, "i");
        let error = applied(Some(&live), &config(2, "i"), "kubectl", 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" using apps/v1: .spec.replicas"
        );
        let same = applied(Some(&live), &config(1, "i"), "kubectl", 1).unwrap();
        assert_eq!(managers::of(&same).len(), 2);
    }

    #[test]
    fn a_configuration_that_does_not_fit_is_refused() {
        let check = |config: Value, expected: &str| {
            assert_eq!(applied(None, &config, "kubectl", 1).unwrap_err().to_string(), expected);
        };
        check(json!({"spec": {"foo": 1}}), ".spec.foo: field not declared in schema");
        check(json!({"metadata": {"managedFields": [{}]}}), "metadata.managedFields must be nil");
        check(
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}}}),
            ".spec.template.spec.containers: duplicate entries for key [name=\"a\"]",
        );
    }
}
