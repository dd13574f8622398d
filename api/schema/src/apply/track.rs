//! The bookkeeping of writes that are not apply: who writes a field owns it.

use std::borrow::Cow;

use serde_json::Value;

use super::Writer;
use super::diff::{Diff, diff};
use super::managers::{self, Entry, Operation};
use crate::Schema;
use crate::settle::zero;

/// Writes `metadata.managedFields` of a new object from those of the old one and from what changed between them. Call it on
/// every create, update and patch (not on apply), after defaulting and before admission: what admission adds is nobody's. It
/// costs microseconds.
///
/// A write that changes no field leaves the list as it is, times included, so that "nothing changed" stays so. What the
/// client sends in the list is taken as Kubernetes takes it: `[{}]` forgets all managers, a well-formed list replaces the
/// old one (main resource only), anything else counts as not sent. An object whose managers were forgotten is not tracked
/// again until it is applied.
pub fn track_update(schema: Schema<'_>, old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let Some(stored) = starting_point(old, new, writer) else { return };
    let diff = match old {
        Some(old) => diff(schema, Some(old), new, writer.reset),
        None => diff_of_new(schema, new, writer),
    };
    if diff.is_empty() {
        managers::put(new, stored);
        return;
    }
    let time = api_kinds::time::rfc3339(writer.now_us);
    let mut entries = managers::read(&stored).unwrap_or_default();
    attribute(&mut entries, diff, writer, &time);
    managers::settle(&mut entries);
    let written = managers::write(&entries);
    drop(entries);
    managers::put(new, managers::assemble(written, stored));
}

/// What [`track_update`] makes of a new object that names no managers: its `metadata.managedFields` as JSON text, `None` when
/// there is nothing to own. It is for those who only serialise the object afterwards, for the list is as large as the object.
pub fn managers_of_new(schema: Schema<'_>, object: &Value, writer: &Writer<'_>) -> Option<Vec<u8>> {
    let diff = diff_of_new(schema, object, writer);
    if diff.is_empty() {
        return None;
    }
    let time = api_kinds::time::rfc3339(writer.now_us);
    let mut entries = Vec::new();
    attribute(&mut entries, diff, writer, &time);
    managers::settle(&mut entries);
    // Our own types serialise, and memory takes any write.
    serde_json::to_vec(&entries).ok().filter(|_| !entries.is_empty())
}

/// What a new object has beyond what every object of its kind has: that is nobody's.
fn diff_of_new<'a>(schema: Schema<'a>, object: &Value, writer: &Writer<'_>) -> Diff<'a> {
    let nothing = Value::Object(zero(schema.definitions(), schema.root));
    diff(schema, Some(&nothing), object, writer.reset)
}

/// The list to go on from: well formed, and taken out of the new object. `None` when the object is not tracked.
fn starting_point(old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) -> Option<Vec<Value>> {
    let live = old.map(managers::of).unwrap_or_default();
    let sent = managers::take(new);
    let is_main = writer.subresource.is_empty();
    // Nearly always the client sends back what it got.
    let list = if sent == live {
        sent
    } else if is_main && managers::is_reset(&sent) {
        Vec::new()
    } else {
        let sent = if is_main { managers::canonical(&sent) } else { None };
        sent.filter(|list| !list.is_empty() && managers::read(list).is_some()).unwrap_or_else(|| live.to_vec())
    };
    if old.is_some() && list.is_empty() {
        managers::put(new, Vec::new());
        return None;
    }
    Some(list)
}

/// Gives what was written to the writer, and takes it and what was removed from everyone else.
pub(super) fn attribute<'a>(entries: &mut Vec<Entry<'a>>, diff: Diff<'a>, writer: &Writer<'a>, time: &'a str) {
    for entry in entries.iter_mut() {
        entry.lose(&diff.removed);
        if !entry.is_updater(writer.manager, writer.api_version, writer.subresource) {
            entry.lose(&diff.written);
        }
    }
    if diff.written.is_empty() {
        return;
    }
    let own = entries.iter_mut().find(|e| e.is_updater(writer.manager, writer.api_version, writer.subresource));
    match own {
        Some(entry) => {
            entry.fields = std::mem::take(&mut entry.fields).union(diff.written);
            entry.time = Cow::Borrowed(time);
            entry.stored = None;
        }
        None => entries.push(Entry {
            manager: Cow::Borrowed(writer.manager),
            operation: Operation::Update,
            api_version: Cow::Borrowed(writer.api_version),
            time: Cow::Borrowed(time),
            subresource: Cow::Borrowed(writer.subresource),
            fields: diff.written,
            stored: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn writer(manager: &str, second: i64) -> Writer<'_> {
        Writer { manager, api_version: "v1", subresource: "", now_us: second * SECOND, reset: &[&["status"]] }
    }

    fn pod() -> Schema<'static> {
        Schema::named("io.k8s.api.core.v1.Pod").unwrap()
    }

    fn created() -> Value {
        let mut object = json!({
            "metadata": {"name": "p", "labels": {"a": "1", "b": "2"}},
            "spec": {"containers": [{"name": "c", "image": "1"}]},
        });
        track_update(pod(), None, &mut object, &writer("creator", 1));
        object
    }

    fn owned(object: &Value) -> Vec<(&str, &Value)> {
        managers::of(object).iter().map(|e| (e["manager"].as_str().unwrap(), &e["fieldsV1"])).collect()
    }

    #[test]
    fn a_create_is_owned_by_its_writer() {
        assert_eq!(
            created()["metadata"]["managedFields"],
            json!([{
                "manager": "creator", "operation": "Update", "apiVersion": "v1", "time": "1970-01-01T00:00:01Z", "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {".": {}, "f:a": {}, "f:b": {}}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}, "f:name": {}}}},
                },
            }])
        );
    }

    #[test]
    fn the_managers_of_a_new_object_are_the_same_as_text() {
        let check = |mut object: Value, writer: &Writer<'_>| {
            let text = managers_of_new(pod(), &object, writer);
            track_update(pod(), None, &mut object, writer);
            let expected = object["metadata"].get("managedFields").map(Value::to_string);
            assert_eq!(text.map(|text| String::from_utf8(text).unwrap()), expected);
        };
        let object = json!({
            "metadata": {"name": "p", "labels": {"a\"b": "1"}, "finalizers": ["x/y"]},
            "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}], "env": []}], "securityContext": {}},
            "status": {"phase": "Running"},
        });
        check(object.clone(), &writer("creator", 1));
        check(object, &Writer { subresource: "status", reset: &[&["spec"]], ..writer("a \"b\"", 2) });
        check(json!({"metadata": {"name": "p"}}), &writer("creator", 1));
    }

    #[test]
    fn who_writes_a_field_takes_it_over() {
        let first = created();
        let mut second = first.clone();
        second["spec"]["containers"][0]["image"] = json!("2");
        second["metadata"]["labels"].as_object_mut().unwrap().remove("b");
        track_update(pod(), Some(&first), &mut second, &writer("updater", 2));
        assert_eq!(
            owned(&second),
            [
                (
                    "creator",
                    &json!({
                        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                        "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}}}},
                    })
                ),
                ("updater", &json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {"f:image": {}}}}})),
            ]
        );
    }

    #[test]
    fn a_write_that_changes_nothing_leaves_the_list_alone() {
        let first = created();
        for forget in [false, true] {
            let mut second = first.clone();
            if forget {
                second["metadata"].as_object_mut().unwrap().remove("managedFields");
            }
            second["metadata"]["resourceVersion"] = json!("7");
            track_update(pod(), Some(&first), &mut second, &writer("other", 2));
            assert_eq!(first["metadata"]["managedFields"], second["metadata"]["managedFields"]);
        }
    }

    #[test]
    fn status_belongs_to_who_writes_status() {
        let first = created();
        let mut second = first.clone();
        second["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        second["spec"]["hostname"] = json!("reset by the strategy");
        let kubelet = Writer { subresource: "status", reset: &[&["spec"]], ..writer("kubelet", 2) };
        track_update(pod(), Some(&first), &mut second, &kubelet);
        let entry = &managers::of(&second)[1];
        assert_eq!((&entry["manager"], &entry["subresource"]), (&json!("kubelet"), &json!("status")));
        assert_eq!(
            entry["fieldsV1"],
            json!({"f:status": {
                "f:conditions": {".": {}, "k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}, "f:type": {}}},
                "f:phase": {},
            }})
        );
    }

    #[test]
    fn clients_may_rewrite_or_forget_the_list() {
        let first = created();
        let mut forgotten = first.clone();
        forgotten["metadata"]["managedFields"] = json!([{}]);
        track_update(pod(), Some(&first), &mut forgotten, &writer("creator", 2));
        assert_eq!(forgotten["metadata"].get("managedFields"), None);
        let mut untracked = forgotten.clone();
        untracked["metadata"]["labels"]["c"] = json!("3");
        track_update(pod(), Some(&forgotten), &mut untracked, &writer("creator", 3));
        assert_eq!(untracked["metadata"].get("managedFields"), None);

        let mut rewritten = first.clone();
        rewritten["metadata"]["managedFields"][0]["manager"] = json!("renamed");
        track_update(pod(), Some(&first), &mut rewritten, &writer("creator", 2));
        assert_eq!(owned(&rewritten)[0].0, "renamed");

        let mut broken = first.clone();
        broken["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Take"}]);
        track_update(pod(), Some(&first), &mut broken, &writer("creator", 2));
        assert_eq!(broken, first);
    }

    #[test]
    fn the_same_manager_in_another_version_or_subresource_is_another_manager() {
        let first = created();
        let mut second = first.clone();
        second["metadata"]["labels"]["a"] = json!("9");
        let writer = Writer { api_version: "v2", ..writer("creator", 2) };
        track_update(pod(), Some(&first), &mut second, &writer);
        assert_eq!(managers::of(&second).len(), 2);
    }
}
