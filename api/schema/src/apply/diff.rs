//! What a write does to fields: which it adds or changes, and which it removes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::extent::is_unowned_metadata;
use super::{FieldSet, label};
use crate::Schema;
use crate::definitions::{Definition, Definitions, Grain, Key};

/// Lists longer than this are matched through an index of labels instead of by looking.
const SCAN_MAX: usize = 32;

/// Fields by what became of them.
#[derive(Debug, Default)]
pub(super) struct Diff<'a> {
    /// Added, or changed.
    pub(super) written: FieldSet<'a>,
    /// Gone.
    pub(super) removed: FieldSet<'a>,
}

impl<'a> Diff<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.removed.is_empty()
    }

    fn push(&mut self, label: Cow<'a, str>, below: Self) {
        if !below.written.is_empty() && !below.removed.is_empty() {
            self.written.push(label.clone(), below.written);
            self.removed.push(label, below.removed);
        } else if !below.written.is_empty() {
            self.written.push(label, below.written);
        } else {
            self.removed.push(label, below.removed);
        }
    }

    fn sort(&mut self) {
        self.written.sort();
        self.removed.sort();
    }
}

/// What became of the fields of an object, but of those that nobody owns and of everything below `reset`. `old` is absent for
/// a create; then the structs that the kind holds in place count as there, as they are in Go.
pub(super) fn diff<'a>(schema: Schema<'a>, old: Option<&Value>, new: &Value, reset: &[&[&str]]) -> Diff<'a> {
    let walk = Walk { definitions: schema.definitions() };
    let sides = Sides { old: old.and_then(Value::as_object), new: new.as_object() };
    walk.fields(schema.root, sides, There { old: true, new: true }, reset, Level::Object)
}

/// The two forms of one value, either of which may be absent.
struct Sides<'v, T> {
    old: Option<&'v T>,
    new: Option<&'v T>,
}

impl<T> Copy for Sides<'_, T> {}

impl<T> Clone for Sides<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'v> Sides<'v, Value> {
    fn without_nulls(self) -> Self {
        let there = |value: &&Value| !value.is_null();
        Sides { old: self.old.filter(there), new: self.new.filter(there) }
    }

    fn maps(self) -> Sides<'v, Map<String, Value>> {
        Sides { old: self.old.and_then(Value::as_object), new: self.new.and_then(Value::as_object) }
    }
}

/// Whether a container counts as there although it is absent from the JSON.
#[derive(Clone, Copy, Default)]
struct There {
    old: bool,
    new: bool,
}

/// Where in an object a struct stands: on top some fields are nobody's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Object,
    Metadata,
    Below,
}

impl Level {
    fn is_unowned(self, name: &str) -> bool {
        match self {
            Self::Object => matches!(name, "apiVersion" | "kind"),
            Self::Metadata => is_unowned_metadata(name),
            Self::Below => false,
        }
    }
}

struct Walk<'a> {
    definitions: &'a Definitions,
}

impl<'a> Walk<'a> {
    fn fields(
        &self,
        definition: &'a Definition,
        sides: Sides<'_, Map<String, Value>>,
        there: There,
        reset: &[&[&str]],
        level: Level,
    ) -> Diff<'a> {
        let mut diff = Diff::default();
        each_pair(sides, |name, pair| {
            if level.is_unowned(name) || reset.iter().any(|path| *path == [name]) {
                return;
            }
            let Some(field) = definition.field(name) else { return };
            let implied = field.in_place || (field.required && matches!(field.grain, Grain::Keyed { .. } | Grain::Set));
            let there = There { old: there.old && implied, new: there.new && implied };
            let below = tails(reset, name);
            let inner = match field.grain {
                Grain::Struct(index) if level == Level::Object && name == "metadata" => {
                    self.fields(self.definitions.at(index), pair.maps(), there, &below, Level::Metadata)
                }
                _ => self.value(&field.grain, pair, there, &below),
            };
            diff.push(Cow::Borrowed(field.label()), inner);
        });
        diff.sort();
        diff
    }

    fn value(&self, grain: &'a Grain, sides: Sides<'_, Value>, there: There, reset: &[&[&str]]) -> Diff<'a> {
        // What is owned in parts has none while it is null.
        let sides = if *grain == Grain::Leaf { sides } else { sides.without_nulls() };
        match grain {
            Grain::Leaf => leaf(sides),
            Grain::Struct(_) | Grain::Map(_) => {
                if !sides.old.is_none_or(Value::is_object) || !sides.new.is_none_or(Value::is_object) {
                    return leaf(sides);
                }
                let maps = sides.maps();
                let mut diff = match grain {
                    Grain::Struct(index) => {
                        let inner =
                            There { old: there.old || maps.old.is_some(), new: there.new || maps.new.is_some() };
                        self.fields(self.definitions.at(*index), maps, inner, reset, Level::Below)
                    }
                    Grain::Map(inner) => self.entries(inner, maps),
                    _ => Diff::default(),
                };
                container(&mut diff, sides, there);
                diff
            }
            Grain::Set | Grain::Keyed { .. } => {
                if !sides.old.is_none_or(Value::is_array) || !sides.new.is_none_or(Value::is_array) {
                    return leaf(sides);
                }
                let old = sides.old.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let new = sides.new.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let mut diff = match grain {
                    Grain::Keyed { keys, item } => self.items(keys, *item, old, new),
                    _ => set_items(old, new),
                };
                container(&mut diff, sides, there);
                diff
            }
        }
    }

    fn entries(&self, inner: &'a Grain, sides: Sides<'_, Map<String, Value>>) -> Diff<'a> {
        let mut diff = Diff::default();
        each_pair(sides, |name, pair| {
            let below = self.value(inner, pair, There::default(), &[]);
            if !below.is_empty() {
                diff.push(Cow::Owned(label::of_entry(name)), below);
            }
        });
        diff.sort();
        diff
    }

    fn items(&self, keys: &'a [Key], item: usize, old: &[Value], new: &[Value]) -> Diff<'a> {
        let grain = self.definitions.grain(item);
        let mut diff = Diff::default();
        let mut push = |value: &Value, sides: Sides<'_, Value>| {
            let below = self.value(grain, sides, There::default(), &[]);
            if !below.is_empty() {
                diff.push(Cow::Owned(label::of_item(keys, value)), below);
            }
        };
        let olds = Matcher::new(keys, old);
        let news = Matcher::new(keys, new);
        for (at, value) in new.iter().enumerate() {
            push(value, Sides { old: olds.find(value, at), new: Some(value) });
        }
        for (at, value) in old.iter().enumerate() {
            if news.find(value, at).is_none() {
                push(value, Sides { old: Some(value), new: None });
            }
        }
        diff.sort();
        diff
    }
}

/// A container that came or went is itself written or removed, unless it counts as there anyway; so is one that became empty
/// from nothing, or nothing from empty.
fn container(diff: &mut Diff<'_>, sides: Sides<'_, Value>, there: There) {
    diff.written.member = sides.old.is_none() && sides.new.is_some() && !there.old;
    diff.removed.member = sides.new.is_none() && sides.old.is_some() && !there.new;
}

fn leaf<'a>(sides: Sides<'_, Value>) -> Diff<'a> {
    match (sides.old, sides.new) {
        (Some(_), None) => Diff { removed: FieldSet::leaf(), ..Diff::default() },
        (old, Some(new)) if old != Some(new) => Diff { written: FieldSet::leaf(), ..Diff::default() },
        _ => Diff::default(),
    }
}

fn set_items<'a>(old: &[Value], new: &[Value]) -> Diff<'a> {
    let mut diff = Diff::default();
    for value in new.iter().filter(|value| !old.contains(value)) {
        diff.written.push(Cow::Owned(label::of_value(value)), FieldSet::leaf());
    }
    for value in old.iter().filter(|value| !new.contains(value)) {
        diff.removed.push(Cow::Owned(label::of_value(value)), FieldSet::leaf());
    }
    diff.sort();
    diff
}

/// Calls `visit` for every name of either map. Objects keep their order from write to write: most names are found where the
/// last one was left.
fn each_pair(sides: Sides<'_, Map<String, Value>>, mut visit: impl FnMut(&str, Sides<'_, Value>)) {
    let mut shared = 0;
    let old_len = sides.old.map_or(0, Map::len);
    if let Some(new) = sides.new {
        let mut guess = sides.old.map(|old| old.iter().peekable());
        for (name, value) in new {
            let next = guess.as_mut().and_then(|g| g.next_if(|(own, _)| *own == name)).map(|(_, value)| value);
            let old = next.or_else(|| sides.old.and_then(|old| old.get(name)));
            shared += usize::from(old.is_some());
            visit(name, Sides { old, new: Some(value) });
        }
    }
    if shared == old_len {
        return;
    }
    for (name, value) in sides.old.into_iter().flatten() {
        if sides.new.is_none_or(|new| !new.contains_key(name)) {
            visit(name, Sides { old: Some(value), new: None });
        }
    }
}

/// What is left of the paths that begin with `name`.
fn tails<'r>(paths: &[&'r [&'r str]], name: &str) -> Vec<&'r [&'r str]> {
    paths.iter().filter(|path| path.len() > 1 && path[0] == name).map(|path| &path[1..]).collect()
}

/// Finds items of a list by their keys.
struct Matcher<'a, 'v> {
    keys: &'a [Key],
    items: &'v [Value],
    /// For long lists.
    index: Option<BTreeMap<String, usize>>,
}

impl<'a, 'v> Matcher<'a, 'v> {
    fn new(keys: &'a [Key], items: &'v [Value]) -> Self {
        let index = (items.len() > SCAN_MAX).then(|| {
            // Of items with the same keys, the first one counts.
            items.iter().enumerate().rev().map(|(at, item)| (label::of_item(keys, item), at)).collect()
        });
        Self { keys, items, index }
    }

    /// The item with the keys of `wanted`, most likely at `guess`.
    fn find(&self, wanted: &Value, guess: usize) -> Option<&'v Value> {
        let same = |item: &&Value| label::same_item(self.keys, item, wanted);
        if let Some(item) = self.items.get(guess).filter(same) {
            return Some(item);
        }
        match &self.index {
            Some(index) => index.get(&label::of_item(self.keys, wanted)).map(|at| &self.items[*at]),
            None => self.items.iter().find(same),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(old: Option<Value>, new: Value, written: Value, removed: Value) {
        let schema = Schema::named("io.k8s.api.core.v1.Pod").unwrap();
        let diff = diff(schema, old.as_ref(), &new, &[&["status"]]);
        assert_eq!(diff.written.to_value(), written, "written by {new} over {old:?}");
        assert_eq!(diff.removed.to_value(), removed, "removed by {new} over {old:?}");
    }

    #[test]
    fn a_new_object_is_written_as_kubernetes_writes_it() {
        check(
            None,
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"app": "x"}},
                "spec": {
                    "containers": [{"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP"}], "resources": {}}],
                    "securityContext": {}, "volumes": [{"name": "v", "emptyDir": {}}],
                },
                "status": {"phase": "Pending"},
            }),
            json!({
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:containers": {"k:{\"name\":\"c\"}": {
                        ".": {}, "f:name": {},
                        "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                        "f:resources": {},
                    }},
                    "f:securityContext": {},
                    "f:volumes": {".": {}, "k:{\"name\":\"v\"}": {".": {}, "f:emptyDir": {}, "f:name": {}}},
                },
            }),
            json!({}),
        );
    }

    #[test]
    fn changes_are_told_field_by_field() {
        let old = || {
            Some(json!({
                "metadata": {"resourceVersion": "1", "labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]},
                "spec": {"containers": [{"name": "c", "image": "1", "args": ["a"]}, {"name": "d"}], "hostname": "h"},
            }))
        };
        check(old(), old().unwrap(), json!({}), json!({}));
        check(
            old(),
            json!({
                "metadata": {"resourceVersion": "2", "labels": {"b": "3", "c": "4"}, "finalizers": ["y", "z"]},
                "spec": {"containers": [{"name": "e"}, {"name": "c", "image": "1", "args": ["b"]}], "hostname": "h"},
            }),
            json!({
                "f:metadata": {"f:finalizers": {"v:\"z\"": {}}, "f:labels": {"f:b": {}, "f:c": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {"f:args": {}}, "k:{\"name\":\"e\"}": {".": {}, "f:name": {}}}},
            }),
            json!({
                "f:metadata": {"f:finalizers": {"v:\"x\"": {}}, "f:labels": {"f:a": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"d\"}": {".": {}, "f:name": {}}}},
            }),
        );
    }

    #[test]
    fn containers_that_come_or_go_are_fields_themselves() {
        check(
            Some(json!({"metadata": {"annotations": {"a": "1"}}, "spec": {}})),
            json!({"metadata": {"labels": {"b": "2"}}, "spec": {"securityContext": {"runAsUser": 1}}}),
            json!({
                "f:metadata": {"f:labels": {".": {}, "f:b": {}}},
                "f:spec": {"f:securityContext": {".": {}, "f:runAsUser": {}}},
            }),
            json!({"f:metadata": {"f:annotations": {".": {}, "f:a": {}}}}),
        );
    }

    #[test]
    fn long_lists_are_matched_too() {
        let list = |image: &str| {
            let containers: Vec<Value> =
                (0..100).rev().map(|n| json!({"name": format!("c{n}"), "image": image})).collect();
            json!({"spec": {"containers": containers}})
        };
        let mut new = list("1");
        new["spec"]["containers"].as_array_mut().unwrap().reverse();
        check(Some(list("1")), new.clone(), json!({}), json!({}));
        new["spec"]["containers"][7]["image"] = json!("2");
        check(
            Some(list("1")),
            new,
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"c7\"}": {"f:image": {}}}}}),
            json!({}),
        );
    }
}
