//! A configuration laid over the live object: what it names it sets, the rest stays.

use serde_json::{Map, Value};

use super::label;
use crate::Schema;
use crate::definitions::{Definition, Definitions, Grain};

/// Merges a configuration into an object.
pub(super) fn merge(schema: Schema<'_>, live: &mut Value, config: &Value) {
    structure(schema.definitions(), schema.root, live, config);
}

fn structure(definitions: &Definitions, definition: &Definition, live: &mut Value, config: &Value) {
    let (Value::Object(fields), Value::Object(wanted)) = (live, config) else { return };
    for (name, value) in wanted {
        let grain = definition.field(name).map_or(&Grain::Leaf, |field| &field.grain);
        member(definitions, grain, fields, name, value);
    }
}

fn member(definitions: &Definitions, grain: &Grain, fields: &mut Map<String, Value>, name: &str, config: &Value) {
    match fields.get_mut(name) {
        Some(live) => value(definitions, grain, live, config),
        None => drop(fields.insert(name.to_owned(), config.clone())),
    }
}

fn value(definitions: &Definitions, grain: &Grain, live: &mut Value, config: &Value) {
    match (grain, &mut *live, config) {
        (Grain::Struct(index), Value::Object(_), Value::Object(_)) => {
            structure(definitions, definitions.at(*index), live, config);
        }
        (Grain::Map(inner), Value::Object(fields), Value::Object(wanted)) => {
            for (name, value) in wanted {
                member(definitions, inner, fields, name, value);
            }
        }
        (Grain::Keyed { keys, item }, Value::Array(items), Value::Array(wanted)) => {
            let grain = definitions.grain(*item);
            let same = |a: &Value, b: &Value| label::same_item(keys, a, b);
            *items = merge_lists(std::mem::take(items), wanted, same, |live, config| {
                value(definitions, grain, live, config)
            });
        }
        (Grain::Set, Value::Array(items), Value::Array(wanted)) => {
            *items = merge_lists(std::mem::take(items), wanted, |a, b| a == b, |_, _| {});
        }
        _ => live.clone_from(config),
    }
}

/// Items of both lists. Those of the configuration stand in its order; live ones that it does not name stay where they are
/// among the live ones that it does.
fn merge_lists(
    live: Vec<Value>,
    config: &[Value],
    same: impl Fn(&Value, &Value) -> bool,
    merge: impl Fn(&mut Value, &Value),
) -> Vec<Value> {
    let place_in_config = |item: &Value| config.iter().position(|wanted| same(wanted, item));
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    let mut shared: Vec<Option<Value>> = vec![None; config.len()];
    // Strangers, each with the number of configured items that stand before it.
    let mut strangers: Vec<(usize, Value)> = Vec::new();
    let mut before = 0;
    for item in live {
        match place_in_config(&item) {
            Some(place) => {
                // Where the orders disagree the configuration wins, and strangers go behind what came before them so far.
                before = before.max(place + 1);
                shared[place].get_or_insert(item);
            }
            None => strangers.push((before, item)),
        }
    }
    let mut strangers = strangers.into_iter().peekable();
    for (place, wanted) in config.iter().enumerate() {
        while let Some((_, stranger)) = strangers.next_if(|(before, _)| *before <= place) {
            merged.push(stranger);
        }
        merged.push(match shared[place].take() {
            Some(mut item) => {
                merge(&mut item, wanted);
                item
            }
            None => wanted.clone(),
        });
    }
    merged.extend(strangers.map(|(_, stranger)| stranger));
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Schema<'static> {
        Schema::named("io.k8s.api.core.v1.Pod").unwrap()
    }

    #[track_caller]
    fn check(live: Value, config: Value, expected: Value) {
        let mut merged = json!({"spec": live});
        merge(pod(), &mut merged, &json!({"spec": config}));
        assert_eq!(merged["spec"], expected);
    }

    #[test]
    fn granular_values_merge_and_atomic_ones_are_replaced() {
        check(
            json!({"hostname": "h", "nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}], "securityContext": {"runAsUser": 1}}),
            json!({"nodeSelector": {"b": "2"}, "tolerations": [{"key": "b"}], "securityContext": {"runAsGroup": 2}}),
            json!({"hostname": "h", "nodeSelector": {"b": "2"}, "tolerations": [{"key": "b"}], "securityContext": {"runAsUser": 1, "runAsGroup": 2}}),
        );
        check(json!({}), json!({"volumes": [{"name": "v"}]}), json!({"volumes": [{"name": "v"}]}));
    }

    #[test]
    fn keyed_items_merge_and_the_configuration_orders_them() {
        let named = |names: &str| {
            let containers: Vec<Value> = names.chars().map(|name| json!({"name": name.to_string()})).collect();
            json!({"containers": containers})
        };
        check(named("ab"), named("ba"), named("ba"));
        check(named("axb"), named("ab"), named("axb"));
        check(named("xab"), named("ba"), named("xba"));
        check(named("abx"), named("ca"), named("cabx"));
        check(named("xy"), named("a"), named("xya"));
        check(
            json!({"containers": [{"name": "a", "image": "1", "tty": true}]}),
            json!({"containers": [{"name": "a", "image": "2"}]}),
            json!({"containers": [{"name": "a", "image": "2", "tty": true}]}),
        );
    }
}
