//! Reads the committed table of field numbers; its format is described in `tests/xtask/src/numbers.rs`, which makes it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::definitions::{Definition, Definitions, Type};

/// One field of a message.
#[derive(Debug)]
pub(super) struct Slot {
    /// On the wire.
    pub(super) number: u32,
    /// In JSON.
    pub(super) name: Box<str>,
    pub(super) ty: Type,
    /// An empty value differs from none.
    pub(super) pointer: bool,
    /// JSON shows it although it is empty.
    pub(super) shown_empty: bool,
    /// A list that is wrapped in a message.
    pub(super) wrapped: bool,
    /// The place of a message whose fields are, in JSON, fields of this one.
    pub(super) inline: Option<usize>,
}

/// The built-in types' messages.
#[derive(Debug)]
pub(super) struct Messages {
    /// Those of the definitions at the definitions' places, and behind them those that are inlined.
    slots: Vec<Vec<Slot>>,
    /// From apiVersion and kind to a definition's place.
    kinds: BTreeMap<(String, Box<str>), usize>,
}

/// A line of the table.
struct Line<'t> {
    number: u32,
    name: &'t str,
    flags: Vec<&'t str>,
}

impl Messages {
    /// The built-in ones.
    pub(super) fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Messages> = OnceLock::new();
        BUILTIN.get_or_init(|| Self::parse(include_str!("table.txt"), Definitions::builtin()))
    }

    /// Fields by number.
    pub(super) fn at(&self, index: usize) -> &[Slot] {
        &self.slots[index]
    }

    /// The definition of an object's type.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<usize> {
        self.kinds.get(&(api_version.to_owned(), kind.into())).copied()
    }

    fn parse(text: &str, definitions: &Definitions) -> Self {
        let mut lines: BTreeMap<&str, Vec<Line<'_>>> = BTreeMap::new();
        let mut message = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix("T ") {
                message = name;
                continue;
            }
            let mut words = line.split(' ');
            let number = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
            let name = words.next().unwrap_or_default();
            lines.entry(message).or_default().push(Line { number, name, flags: words.collect() });
        }
        let mut slots: Vec<Vec<Slot>> = definitions.all().iter().map(|_| Vec::new()).collect();
        for (index, definition) in definitions.all().iter().enumerate() {
            let name = short(&definition.name);
            slots[index] = message_slots(&name, definition, &lines, &mut slots);
        }
        let mut kinds = BTreeMap::new();
        for (index, definition) in definitions.all().iter().enumerate() {
            for (group, version, kind) in &definition.kinds {
                let api_version = if group.is_empty() { version.to_string() } else { format!("{group}/{version}") };
                kinds.insert((api_version, kind.clone()), index);
            }
        }
        Self { slots, kinds }
    }
}

/// As the table abbreviates names.
fn short(name: &str) -> String {
    name.replace("io.k8s.apimachinery.pkg.", "m/").replace("io.k8s.api.", "a/")
}

/// The slots of a message whose JSON fields are those of a definition; inlined messages go behind `all`.
fn message_slots(
    name: &str,
    definition: &Definition,
    lines: &BTreeMap<&str, Vec<Line<'_>>>,
    all: &mut Vec<Vec<Slot>>,
) -> Vec<Slot> {
    let mut found = Vec::new();
    for line in lines.get(name).into_iter().flatten() {
        let flag = |flag: &str| line.flags.contains(&flag);
        let (ty, inline) = if let Some(inner) = line.name.strip_prefix('~') {
            let inner = message_slots(inner, definition, lines, all);
            all.push(inner);
            (Type::Any, Some(all.len() - 1))
        } else {
            let Some(field) = definition.field(line.name) else { continue };
            (field.ty.clone(), None)
        };
        found.push(Slot {
            number: line.number,
            name: line.name.into(),
            ty,
            pointer: flag("*"),
            shown_empty: flag("!"),
            wrapped: flag("items"),
            inline,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_every_served_kind_has_a_number() {
        let (definitions, messages) = (Definitions::builtin(), Messages::builtin());
        let mut todo: Vec<usize> = api_kinds::registry::KINDS
            .iter()
            .chain(api_kinds::registry::VIRTUAL)
            .map(|kind| crate::Schema::of(kind).unwrap().index())
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(index) = todo.pop() {
            if !seen.insert(index) {
                continue;
            }
            let definition = definitions.at(index);
            for field in definition.fields() {
                let is_type_meta = matches!(field.name(), "kind" | "apiVersion") && !definition.kinds.is_empty();
                let numbered = find(messages, index, field.name());
                assert!(numbered || is_type_meta, "{} {}", definition.name, field.name());
                let mut ty = &field.ty;
                while let Type::List(inner) | Type::Map(inner) = ty {
                    ty = inner;
                }
                if let Type::Struct(index) = ty {
                    todo.push(*index);
                }
            }
        }
        assert!(seen.len() > 200, "{}", seen.len());
    }

    fn find(messages: &Messages, index: usize, name: &str) -> bool {
        messages.at(index).iter().any(|slot| match slot.inline {
            Some(inline) => find(messages, inline, name),
            None => *slot.name == *name,
        })
    }
}
