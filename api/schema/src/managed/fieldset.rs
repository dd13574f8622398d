//! Sets of fields as `metadata.managedFields` writes them (FieldsV1).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::definitions::{Definition, Field, ListKind, Type, at};

/// A set of paths, as a trie. A key is `f:<field>`, `k:<keys of a list item>`, `v:<value of a set item>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Whether this path itself is in the set.
    pub member: bool,
    /// What is below it.
    pub children: BTreeMap<String, FieldSet>,
}

/// Fields of metadata that nobody owns: the server writes them.
const UNOWNED_METADATA: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

impl FieldSet {
    /// Every field of an object, but those that nobody owns.
    pub fn of(definition: &'static Definition, object: &Value) -> Self {
        let mut set = Self::default();
        structure(definition, object, &mut set);
        set.strip_unowned();
        set
    }

    fn leaf() -> Self {
        Self { member: true, children: BTreeMap::new() }
    }

    fn strip_unowned(&mut self) {
        self.member = false;
        self.children.remove("f:apiVersion");
        self.children.remove("f:kind");
        if let Some(metadata) = self.children.get_mut("f:metadata") {
            for name in UNOWNED_METADATA {
                metadata.children.remove(&format!("f:{name}"));
            }
            metadata.member = false;
            if metadata.children.is_empty() {
                self.children.remove("f:metadata");
            }
        }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Takes in every path of another set.
    pub fn union(&mut self, other: &Self) {
        self.member |= other.member;
        for (key, theirs) in &other.children {
            self.children.entry(key.clone()).or_default().union(theirs);
        }
    }

    /// Drops every path of another set.
    pub fn subtract(&mut self, other: &Self) {
        if other.member {
            self.member = false;
        }
        self.children.retain(|key, ours| {
            if let Some(theirs) = other.children.get(key) {
                ours.subtract(theirs);
            }
            !ours.is_empty()
        });
    }

    /// The paths that both sets hold.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let children = self
            .children
            .iter()
            .filter_map(|(key, ours)| Some((key.clone(), ours.intersection(other.children.get(key)?))))
            .filter(|(_, both)| !both.is_empty())
            .collect();
        Self { member: self.member && other.member, children }
    }

    /// FieldsV1.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (key, child) in &self.children {
            map.insert(key.clone(), child.to_json());
        }
        Value::Object(map)
    }

    /// Reads FieldsV1. A path without anything below it is a member.
    pub fn from_json(fields: &Value) -> Self {
        let mut set = Self::read(fields);
        set.member = false;
        set
    }

    fn read(fields: &Value) -> Self {
        let Value::Object(map) = fields else { return Self::default() };
        if map.is_empty() {
            return Self::leaf();
        }
        let mut set = Self { member: map.contains_key("."), children: BTreeMap::new() };
        for (key, child) in map.iter().filter(|(key, _)| *key != ".") {
            set.children.insert(key.clone(), Self::read(child));
        }
        set
    }

    /// All paths, as Kubernetes prints them in conflicts: `.spec.containers[name="a"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect(String::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: String, paths: &mut Vec<String>) {
        if self.member {
            paths.push(prefix.clone());
        }
        for (key, child) in &self.children {
            child.collect(format!("{prefix}{}", shown(key)), paths);
        }
    }
}

fn shown(key: &str) -> String {
    match key.split_at_checked(2) {
        Some(("f:", name)) => format!(".{name}"),
        Some(("k:", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let parts: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", parts.join(","))
        }
        Some(("v:", value)) => format!("[={value}]"),
        _ => key.to_owned(),
    }
}

fn structure(definition: &'static Definition, value: &Value, set: &mut FieldSet) {
    let Value::Object(map) = value else {
        set.member = true;
        return;
    };
    for (name, value) in map {
        if let Some(field) = definition.field(name) {
            let child = set.children.entry(format!("f:{name}")).or_default();
            member(field, value, child);
        }
    }
    if map.is_empty() {
        set.member = true;
    }
}

fn member(field: &'static Field, value: &Value, set: &mut FieldSet) {
    match (&field.ty, value) {
        (Type::Struct(index), Value::Object(_)) if !field.atomic && !at(*index).atomic => {
            structure(at(*index), value, set);
        }
        (Type::Map(inner), Value::Object(map)) if !field.atomic => {
            set.member = true;
            for (name, value) in map {
                let child = set.children.entry(format!("f:{name}")).or_default();
                match **inner {
                    Type::Struct(index) if !at(index).atomic => structure(at(index), value, child),
                    _ => child.member = true,
                }
            }
        }
        (Type::List(inner), Value::Array(items)) if field.list != ListKind::Atomic => {
            set.member = true;
            for item in items {
                let key = item_key(&field.list, item);
                let child = set.children.entry(key).or_default();
                child.member = true;
                if let (Type::Struct(index), Value::Object(map)) = (&**inner, item)
                    && !map.is_empty()
                {
                    structure(at(*index), item, child);
                }
            }
        }
        _ => set.member = true,
    }
}

/// The key of a list item in a set.
pub(super) fn item_key(list: &ListKind, item: &Value) -> String {
    match list {
        ListKind::Map(keys) => {
            // serde_json keeps the order of insertion; Kubernetes sorts the keys.
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            let parts: Vec<String> = sorted
                .iter()
                .filter_map(|key| {
                    let value = item.get(*key).cloned().or_else(|| default_key(key))?;
                    Some(format!("{}:{value}", Value::from(*key)))
                })
                .collect();
            format!("k:{{{}}}", parts.join(","))
        }
        _ => format!("v:{item}"),
    }
}

/// Key fields with a default of their own (`ContainerPort.protocol`, `ServicePort.protocol`).
fn default_key(key: &str) -> Option<Value> {
    (key == "protocol").then(|| Value::from("TCP"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definitions::by_name;

    #[test]
    fn a_pods_fields_are_written_as_kubernetes_writes_them() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "labels": {"app": "x"}},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}], "args": ["1"]}], "nodeSelector": {"a": "b"}},
        });
        let set = FieldSet::of(by_name("io.k8s.api.core.v1.Pod").unwrap(), &pod);
        let expected = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:containers": {".": {}, "k:{\"name\":\"c\"}": {
                    ".": {}, "f:args": {}, "f:image": {}, "f:name": {},
                    "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                }},
                "f:nodeSelector": {},
            },
        });
        assert_eq!(set.to_json(), expected);
        assert_eq!(FieldSet::from_json(&expected), set);
        assert!(set.paths().contains(&".spec.containers[name=\"c\"].image".to_owned()));
    }
}
