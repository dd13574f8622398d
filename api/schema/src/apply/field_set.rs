//! Sets of fields, as `metadata.managedFields` write them (FieldsV1).

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::label;

/// A set of paths, as a trie with sorted branches. Labels are borrowed from schemas and from objects where they can be: a
/// write compares and merges sets without copying a name.
///
/// No branch is empty: it is a member or has members below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet<'a> {
    /// Whether the path that leads here is itself in the set.
    pub(super) member: bool,
    /// What is below, sorted by [`label::order`], each label once.
    pub(super) children: Vec<(Cow<'a, str>, FieldSet<'a>)>,
}

impl<'a> FieldSet<'a> {
    /// A path without anything below it.
    pub(super) fn leaf() -> Self {
        Self { member: true, children: Vec::new() }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Hangs a branch below this path, unless it is empty. Call [`FieldSet::sort`] when all are there.
    pub(super) fn push(&mut self, label: Cow<'a, str>, child: Self) {
        if !child.is_empty() {
            self.children.push((label, child));
        }
    }

    /// Brings pushed branches into order; equal labels become one.
    pub(super) fn sort(&mut self) {
        let sorted = self.children.is_sorted_by(|a, b| label::order(&a.0, &b.0) == Ordering::Less);
        if sorted {
            return;
        }
        self.children.sort_by(|a, b| label::order(&a.0, &b.0));
        self.children.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                let both = std::mem::take(&mut kept.1).union(std::mem::take(&mut later.1));
                kept.1 = both;
            }
            same
        });
    }

    /// The branch of a label.
    pub(super) fn child(&self, wanted: &str) -> Option<&Self> {
        let found = self.children.binary_search_by(|(own, _)| label::order(own, wanted));
        found.ok().map(|at| &self.children[at].1)
    }

    /// Every path of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let member = self.member || other.member;
        if self.children.is_empty() {
            return Self { member, children: other.children };
        }
        if other.children.is_empty() {
            return Self { member, children: self.children };
        }
        let mut children = Vec::with_capacity(self.children.len().max(other.children.len()));
        let mut theirs = other.children.into_iter().peekable();
        for (own, mut set) in self.children {
            while let Some(before) = theirs.next_if(|(their, _)| label::order(their, &own) == Ordering::Less) {
                children.push(before);
            }
            if let Some((_, same)) = theirs.next_if(|(their, _)| *their == own) {
                set = set.union(same);
            }
            children.push((own, set));
        }
        children.extend(theirs);
        Self { member, children }
    }

    /// Drops every path of another set; whether there were any.
    pub fn subtract(&mut self, other: &FieldSet<'_>) -> bool {
        let mut changed = self.member && other.member;
        self.member &= !other.member;
        if self.children.is_empty() || other.children.is_empty() {
            return changed;
        }
        let mut theirs = other.children.iter().peekable();
        self.children.retain_mut(|(own, set)| {
            while theirs.next_if(|(their, _)| label::order(their, own) == Ordering::Less).is_some() {}
            if let Some((_, same)) = theirs.next_if(|(their, _)| their == own) {
                changed |= set.subtract(same);
            }
            !set.is_empty()
        });
        changed
    }

    /// The paths that both sets hold.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet<'_>) -> Self {
        let mut both = Self { member: self.member && other.member, children: Vec::new() };
        let mut theirs = other.children.iter().peekable();
        for (own, set) in &self.children {
            while theirs.next_if(|(their, _)| label::order(their, own) == Ordering::Less).is_some() {}
            if let Some((_, same)) = theirs.next_if(|(their, _)| their == own) {
                both.push(own.clone(), set.intersection(same));
            }
        }
        both
    }

    /// FieldsV1.
    pub fn to_value(&self) -> Value {
        let mut map = Map::with_capacity(self.children.len() + usize::from(self.member));
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (label, child) in &self.children {
            map.insert(label.clone().into_owned(), child.to_value());
        }
        Value::Object(map)
    }

    /// Reads FieldsV1. A path without anything below it is a member. `None` when it is malformed.
    pub fn from_value(fields: &'a Value) -> Option<Self> {
        let mut set = Self::read(fields)?;
        set.member = false;
        Some(set)
    }

    fn read(fields: &'a Value) -> Option<Self> {
        let map = fields.as_object()?;
        if map.is_empty() {
            return Some(Self::leaf());
        }
        let mut set = Self { member: false, children: Vec::with_capacity(map.len()) };
        for (label, child) in map {
            match label.as_bytes() {
                b"." => set.member = true,
                [b'f' | b'k' | b'v' | b'i', b':', ..] => set.push(Cow::Borrowed(label), Self::read(child)?),
                _ => return None,
            }
        }
        set.sort();
        Some(set)
    }

    /// All paths, as Kubernetes prints them in conflicts: `.spec.containers[name="a"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        // Kubernetes walks the members of a level before what is below any of them.
        for (label, child) in &self.children {
            if child.member {
                paths.push(format!("{prefix}{}", label::shown(label)));
            }
        }
        for (label, child) in self.children.iter().filter(|(_, child)| !child.children.is_empty()) {
            child.collect(&format!("{prefix}{}", label::shown(label)), paths);
        }
    }
}

/// As [`FieldSet::to_value`], without the value in between.
impl Serialize for FieldSet<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.member && !self.children.is_empty() {
            map.serialize_entry(".", &Leaf)?;
        }
        for (label, child) in &self.children {
            map.serialize_entry(&**label, child)?;
        }
        map.end()
    }
}

/// `{}`
struct Leaf;

impl Serialize for Leaf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

/// FieldsV1 of a client with labels spelled as ours. `None` when it is malformed.
pub(super) fn canonical(fields: &Value) -> Option<Value> {
    let mut map = Map::new();
    for (label, child) in fields.as_object()? {
        let label = if label == "." { label.clone() } else { label::canonical(label)? };
        map.insert(label, canonical(child)?);
    }
    Some(Value::Object(map))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(fields: &Value) -> FieldSet<'_> {
        FieldSet::from_value(fields).unwrap()
    }

    #[test]
    fn sets_are_read_and_written_alike() {
        let fields = json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {"k:{\"name\":\"x\"}": {".": {}, "f:e": {}}, "v:1": {}}});
        assert_eq!(set(&fields).to_value(), fields);
        assert_eq!(serde_json::to_string(&set(&fields)).unwrap(), fields.to_string());
        let expected = [".a", ".a.b", ".a.c", ".d[name=\"x\"]", ".d[=1]", ".d[name=\"x\"].e"];
        assert_eq!(set(&fields).paths(), expected);
        assert_eq!(FieldSet::from_value(&json!({"a": {}})), None);
        assert_eq!(FieldSet::from_value(&json!([])), None);
    }

    #[test]
    fn sets_combine_path_by_path() {
        let check = |a: Value, b: Value, union: Value, difference: Value, intersection: Value| {
            assert_eq!(set(&a).union(set(&b)).to_value(), union, "{a} ∪ {b}");
            let mut left = set(&a);
            let changed = left.subtract(&set(&b));
            assert_eq!(left.to_value(), difference, "{a} − {b}");
            assert_eq!(changed, left != set(&a));
            assert_eq!(set(&a).intersection(&set(&b)).to_value(), intersection, "{a} ∩ {b}");
        };
        check(json!({"f:a": {}}), json!({"f:b": {}}), json!({"f:a": {}, "f:b": {}}), json!({"f:a": {}}), json!({}));
        check(
            json!({"f:a": {".": {}, "f:x": {}}}),
            json!({"f:a": {}}),
            json!({"f:a": {".": {}, "f:x": {}}}),
            json!({"f:a": {"f:x": {}}}),
            json!({"f:a": {}}),
        );
        check(
            json!({"f:a": {"f:x": {}, "f:y": {}}, "f:c": {}}),
            json!({"f:a": {"f:y": {}, "f:z": {}}, "f:b": {}}),
            json!({"f:a": {"f:x": {}, "f:y": {}, "f:z": {}}, "f:b": {}, "f:c": {}}),
            json!({"f:a": {"f:x": {}}, "f:c": {}}),
            json!({"f:a": {"f:y": {}}}),
        );
        check(
            json!({"f:a": {"f:x": {}}}),
            json!({"f:a": {"f:x": {}}}),
            json!({"f:a": {"f:x": {}}}),
            json!({}),
            json!({"f:a": {"f:x": {}}}),
        );
    }
}
