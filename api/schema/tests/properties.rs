//! Laws of ownership and of patches, over random objects of a few shapes.

use api_schema::apply::{Writer, apply, resets, track_update, typed};
use api_schema::patch::{merge, strategic};
use api_schema::{FieldValidation, Schema, check};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn pod() -> Schema<'static> {
    Schema::named("io.k8s.api.core.v1.Pod").unwrap()
}

fn writer(manager: &str, second: i64) -> Writer<'_> {
    Writer { manager, api_version: "v1", subresource: "", now_us: second * 1_000_000, reset: resets("Pod", "") }
}

/// A map of up to three letters to digits.
fn letters() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-c]", "[0-9]", 0..=3).prop_map(|map| json!(map))
}

fn optional(fields: Vec<(&'static str, Option<Value>)>) -> Value {
    Value::Object(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn keyed(items: Vec<Value>, keys: &[&str]) -> Value {
    let mut seen: Vec<Value> = Vec::new();
    for item in items {
        if !seen.iter().any(|other| keys.iter().all(|key| other[*key] == item[*key])) {
            seen.push(item);
        }
    }
    Value::Array(seen)
}

prop_compose! {
    fn container()(
        name in "[p-s]",
        image in prop::option::of("[0-9]"),
        args in prop::option::of(prop::collection::vec("[0-9]", 0..3)),
        env in prop::collection::vec(("[a-c]", "[0-9]"), 0..3),
        ports in prop::collection::vec((1..4_i64, "TCP|UDP"), 0..3),
    ) -> Value {
        let env: Vec<Value> = env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let ports: Vec<Value> =
            ports.into_iter().map(|(port, protocol)| json!({"containerPort": port, "protocol": protocol})).collect();
        optional(vec![
            ("name", Some(json!(name))),
            ("image", image.map(|image| json!(image))),
            ("args", args.map(|args| json!(args))),
            ("env", (!env.is_empty()).then(|| keyed(env, &["name"]))),
            ("ports", (!ports.is_empty()).then(|| keyed(ports, &["containerPort", "protocol"]))),
        ])
    }
}

prop_compose! {
    /// A configuration, or an object.
    fn object()(
        labels in prop::option::of(letters()),
        finalizers in prop::collection::btree_set("[f-h]", 0..3),
        hostname in prop::option::of("[0-9]"),
        selector in prop::option::of(letters()),
        containers in prop::collection::vec(container(), 0..4),
        user in prop::option::of(0..3_i64),
    ) -> Value {
        let full = |value: &Value| value.as_object().is_some_and(|map| !map.is_empty());
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": optional(vec![
                ("name", Some(json!("p"))),
                ("labels", labels.filter(full)),
                ("finalizers", (!finalizers.is_empty()).then(|| json!(finalizers))),
            ]),
            "spec": optional(vec![
                ("hostname", hostname.map(|hostname| json!(hostname))),
                ("nodeSelector", selector.filter(full)),
                ("securityContext", user.map(|user| json!({"runAsUser": user}))),
                ("containers", (!containers.is_empty()).then(|| keyed(containers, &["name"]))),
            ]),
        })
    }
}

/// Without bookkeeping, and without what is empty: nobody can tell an empty list from none.
fn content(object: &Value) -> Value {
    match object {
        Value::Object(map) => {
            let kept: Map<String, Value> = map
                .iter()
                .filter(|(name, _)| *name != "managedFields")
                .map(|(name, value)| (name.clone(), content(value)))
                .filter(|(_, value)| *value != json!({}) && *value != json!([]))
                .collect();
            Value::Object(kept)
        }
        Value::Array(items) => Value::Array(items.iter().map(content).collect()),
        other => other.clone(),
    }
}

fn applied(live: Option<&Value>, config: &Value, manager: &str, second: i64) -> Value {
    apply(pod(), live, &typed(pod(), config).unwrap(), &writer(manager, second), true).unwrap()
}

/// Everything that a configuration says is so in the object; lists in its order, others' items in between.
fn says(object: &Value, config: &Value) -> bool {
    match (object, config) {
        (Value::Object(object), Value::Object(config)) => {
            config.iter().all(|(name, value)| object.get(name).is_some_and(|own| says(own, value)))
        }
        (Value::Array(object), Value::Array(config)) => {
            let mut rest = object.iter();
            config.iter().all(|item| rest.any(|own| says(own, item)))
        }
        _ => object == config,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_is_applying_once(first in object(), second in object(), config in object()) {
        let live = applied(Some(&applied(None, &first, "one", 1)), &second, "two", 2);
        let once = applied(Some(&live), &config, "one", 3);
        prop_assert_eq!(applied(Some(&once), &config, "one", 4), once);
    }

    #[test]
    fn what_is_applied_is_so(first in object(), config in object()) {
        let live = applied(None, &first, "one", 1);
        let after = applied(Some(&live), &config, "two", 2);
        prop_assert!(says(&after, &content(&config)), "{} does not say {}", after, config);
    }

    #[test]
    fn a_sole_manager_gets_exactly_what_it_applies(first in object(), second in object()) {
        let live = applied(None, &first, "one", 1);
        let after = applied(Some(&live), &second, "one", 2);
        prop_assert_eq!(content(&after), content(&second));
    }

    #[test]
    fn what_a_manager_drops_vanishes_unless_others_own_it(first in object(), other in object()) {
        let live = applied(Some(&applied(None, &first, "one", 1)), &other, "two", 2);
        let empty = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}});
        let after = applied(Some(&live), &empty, "one", 3);
        prop_assert_eq!(content(&after), content(&other));
    }

    #[test]
    fn an_update_owns_what_it_changes_and_no_more(first in object(), second in object()) {
        let mut live = first;
        track_update(pod(), None, &mut live, &writer("one", 1));
        let mut after = second.clone();
        after["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
        track_update(pod(), Some(&live), &mut after, &writer("two", 2));
        // Nobody else owns anything that is not there: an apply of all of it conflicts with nobody.
        let config = typed(pod(), &second).unwrap();
        prop_assert!(apply(pod(), Some(&after), &config, &writer("three", 3), false).is_ok());
        // And a second, equal write changes nothing.
        let mut again = after.clone();
        track_update(pod(), Some(&after), &mut again, &writer("three", 3));
        prop_assert_eq!(again, after);
    }

    #[test]
    fn a_merge_patch_of_the_difference_leads_there(a in object(), b in object()) {
        let mut patched = a.clone();
        merge::apply(&mut patched, &merge_difference(&a, &b)).unwrap();
        prop_assert_eq!(patched, b);
    }

    #[test]
    fn a_strategic_patch_of_the_difference_leads_there(a in object(), b in object()) {
        let mut patched = a.clone();
        let patch = strategic_difference(&a, &b);
        strategic::apply(pod(), &mut patched, &patch).unwrap();
        prop_assert_eq!(content(&patched), content(&b), "{}", patch);
    }

    #[test]
    fn checking_what_is_in_order_changes_nothing(object in object()) {
        // An empty list is lost, as on the way through Go.
        let mut object = content(&object);
        check(pod(), &mut object, &[], FieldValidation::Strict).unwrap();
        let mut checked = object.clone();
        let warnings = check(pod(), &mut checked, &[], FieldValidation::Strict).unwrap();
        prop_assert_eq!((checked, warnings), (object, Vec::new()));
    }
}

fn merge_difference(a: &Value, b: &Value) -> Value {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return b.clone() };
    let mut patch = Map::new();
    for (name, value) in b {
        match a.get(name) {
            Some(old) if old == value => {}
            Some(old) if old.is_object() && value.is_object() => {
                patch.insert(name.clone(), merge_difference(old, value));
            }
            _ => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    for name in a.keys().filter(|name| !b.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// A patch as kubectl makes it: merged lists item by item with their order, deletions by directive.
fn strategic_difference(a: &Value, b: &Value) -> Value {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return b.clone() };
    let mut patch = Map::new();
    let empty = json!([]);
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let (old, new) = (a.get(name), b.get(name));
        let key = match name.as_str() {
            "containers" | "env" => Some("name"),
            "ports" => Some("containerPort"),
            _ => None,
        };
        if old == new {
            continue;
        }
        if let Some(key) = key {
            let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
            // Ports are merged by number alone: two protocols of one number cannot be told apart, so replace the list.
            if name == "ports" {
                let mut items = vec![json!({"$patch": "replace"})];
                items.extend(new.as_array().unwrap().iter().cloned());
                patch.insert(name.clone(), Value::Array(items));
                continue;
            }
            list_difference(&mut patch, name, key, old.as_array().unwrap(), new.as_array().unwrap());
        } else if name == "finalizers" {
            let (old, new) = (old.unwrap_or(&empty).as_array().unwrap(), new.unwrap_or(&empty).as_array().unwrap());
            let gone: Vec<&Value> = old.iter().filter(|item| !new.contains(item)).collect();
            let come: Vec<&Value> = new.iter().filter(|item| !old.contains(item)).collect();
            patch.insert("$deleteFromPrimitiveList/finalizers".to_owned(), json!(gone));
            patch.insert("$setElementOrder/finalizers".to_owned(), json!(new));
            patch.insert(name.clone(), json!(come));
        } else {
            let change = match (old, new) {
                (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) => strategic_difference(old, new),
                (_, Some(new)) => new.clone(),
                (_, None) => Value::Null,
            };
            patch.insert(name.clone(), change);
        }
    }
    Value::Object(patch)
}

fn list_difference(patch: &mut Map<String, Value>, name: &str, key: &str, old: &[Value], new: &[Value]) {
    let mut items = Vec::new();
    for item in new {
        match old.iter().find(|other| other[key] == item[key]) {
            Some(other) => {
                let mut change = strategic_difference(other, item);
                change[key] = item[key].clone();
                items.push(change);
            }
            None => items.push(item.clone()),
        }
    }
    for item in old.iter().filter(|item| !new.iter().any(|other| other[key] == item[key])) {
        items.push(json!({key: item[key], "$patch": "delete"}));
    }
    let order: Vec<Value> = new.iter().map(|item| json!({key: item[key]})).collect();
    patch.insert(format!("$setElementOrder/{name}"), Value::Array(order));
    patch.insert(name.to_owned(), Value::Array(items));
}
