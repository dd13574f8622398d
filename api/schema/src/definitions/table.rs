//! Reads the committed table; its format is described in `tests/xtask/src/definitions.rs`, which makes it.

use std::collections::BTreeMap;

use super::{Definition, Field, Grain, Key, ListKind, Type, Union};

/// The definitions of a table, references unresolved as to scalars and grains.
pub(super) fn parse(text: &str) -> Vec<Definition> {
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let mut places = BTreeMap::new();
    for line in lines().filter_map(|line| line.strip_prefix("T ")) {
        let name = line.split(' ').next().unwrap_or_default();
        places.insert(name, places.len());
    }
    let mut definitions: Vec<Definition> = Vec::with_capacity(places.len());
    let mut fields: Vec<Field> = Vec::new();
    for line in lines() {
        let mut words = line.split(' ');
        let sigil = words.next().unwrap_or_default();
        if sigil == "T" {
            finish(&mut definitions, &mut fields);
            definitions.push(definition(words));
            continue;
        }
        let Some(last) = definitions.last_mut() else { continue };
        match sigil {
            "g" => {
                let mut word = || words.next().filter(|word| *word != "-").unwrap_or_default().into();
                last.kinds.push((word(), word(), word()));
            }
            "u" => last.unions.push(Union {
                discriminator: words.next().filter(|word| *word != "-").map(Into::into),
                fields: words.filter_map(|w| w.split_once('=')).map(|(f, v)| (f.into(), v.into())).collect(),
            }),
            "f" => fields.push(field(words, &places)),
            _ => {}
        }
    }
    finish(&mut definitions, &mut fields);
    definitions
}

/// Gives the collected fields to the definition that they stand under.
fn finish(definitions: &mut [Definition], fields: &mut Vec<Field>) {
    if let Some(last) = definitions.last_mut() {
        last.fields = Definition::structure("", std::mem::take(fields)).fields;
    }
}

fn full(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("m/") {
        format!("io.k8s.apimachinery.pkg.{rest}")
    } else if let Some(rest) = name.strip_prefix("a/") {
        format!("io.k8s.api.{rest}")
    } else {
        name.to_owned()
    }
}

fn definition<'a>(mut words: impl Iterator<Item = &'a str>) -> Definition {
    let mut definition = Definition::structure(&full(words.next().unwrap_or_default()), Vec::new());
    for word in words {
        match word {
            "atomic" => definition.atomic = true,
            "quantity" => definition.scalar = Some(Type::Quantity),
            "intorstring" => definition.scalar = Some(Type::IntOrString),
            "time" => definition.scalar = Some(Type::Time),
            "microtime" => definition.scalar = Some(Type::MicroTime),
            _ => definition.scalar = Some(Type::Any),
        }
    }
    definition
}

fn field<'a>(mut words: impl Iterator<Item = &'a str>, places: &BTreeMap<&str, usize>) -> Field {
    let name = words.next().unwrap_or_default();
    let mut field = Field::new(name, shape(words.next().unwrap_or_default(), places));
    for word in words {
        match word {
            "!" => field.required = true,
            "set" => field.list = ListKind::Set,
            "atomic" => field.atomic = true,
            "granular" => field.granular = true,
            "merge" => field.merge = true,
            "retain" => field.retain_keys = true,
            "replace" => field.replace = true,
            "value" => field.in_place = true,
            _ => {
                if let Some(keys) = word.strip_prefix("map=") {
                    field.list = ListKind::Map(keys.split(',').map(Into::into).collect());
                } else if let Some(key) = word.strip_prefix("key=") {
                    field.merge_key = Some(key.into());
                } else if let Some(default) = word.strip_prefix("default=") {
                    field.default = serde_json::from_str(default).ok();
                }
            }
        }
    }
    field
}

/// Reads how Go's structs hold their fields, which decides what becomes of empty values. That stands in the table of field
/// numbers, whose format is described in `tests/xtask/src/numbers.rs`: `*` is a pointer, `!` is shown although it is empty.
pub(super) fn read_go(definitions: &mut [Definition], numbers: &str) {
    let mut messages: BTreeMap<&str, Vec<(&str, bool, bool)>> = BTreeMap::new();
    let mut message = "";
    for line in numbers.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("T ") {
            message = name;
            continue;
        }
        let mut words = line.split(' ').skip(1);
        let name = words.next().unwrap_or_default();
        let flags: Vec<&str> = words.collect();
        messages.entry(message).or_default().push((name, flags.contains(&"*"), flags.contains(&"!")));
    }
    let named: BTreeMap<String, &str> = messages.keys().map(|name| (full(name), *name)).collect();
    for definition in definitions {
        let mut inlined: Vec<&str> = named.get(&*definition.name).copied().into_iter().collect();
        while let Some(name) = inlined.pop() {
            for (field, pointer, shown_empty) in messages.get(name).into_iter().flatten() {
                match field.strip_prefix('~') {
                    Some(inner) => inlined.push(inner),
                    None => definition.held(field, *pointer, *shown_empty),
                }
            }
        }
    }
}

fn shape(text: &str, places: &BTreeMap<&str, usize>) -> Type {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return Type::List(Box::new(shape(inner, places)));
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        return Type::Map(Box::new(shape(inner, places)));
    }
    match text {
        "s" => Type::String,
        "y" => Type::Bytes,
        "t" => Type::Time,
        "b" => Type::Boolean,
        "w" => Type::Int32,
        "i" => Type::Int64,
        "n" => Type::Number,
        _ => text.strip_prefix('@').and_then(|name| places.get(name)).map_or(Type::Any, |place| Type::Struct(*place)),
    }
}

/// References to scalars become the scalars themselves, and every field gets its grain. Returns those of the types.
pub(super) fn resolve(definitions: &mut [Definition]) -> Vec<Grain> {
    let scalars: Vec<Option<Type>> = definitions.iter().map(|d| d.scalar.clone()).collect();
    for field in definitions.iter_mut().flat_map(|d| &mut d.fields) {
        resolve_scalar(&mut field.ty, &scalars);
    }
    let grains: Vec<Grain> = definitions
        .iter()
        .enumerate()
        .map(|(place, d)| if d.atomic || d.scalar.is_some() { Grain::Leaf } else { Grain::Struct(place) })
        .collect();
    // The keys' defaults stand at the fields of the items.
    let defaults: Vec<BTreeMap<Box<str>, serde_json::Value>> = definitions
        .iter()
        .map(|d| d.fields.iter().filter_map(|f| Some((f.name().into(), f.default.clone()?))).collect())
        .collect();
    for field in definitions.iter_mut().flat_map(|d| &mut d.fields) {
        field.grain = grain(field, &grains, &defaults);
    }
    grains
}

fn resolve_scalar(ty: &mut Type, scalars: &[Option<Type>]) {
    match ty {
        Type::Struct(place) => match scalars.get(*place) {
            Some(None) => {}
            Some(Some(scalar)) => *ty = scalar.clone(),
            None => *ty = Type::Any,
        },
        Type::List(inner) | Type::Map(inner) => resolve_scalar(inner, scalars),
        _ => {}
    }
}

fn grain(field: &Field, grains: &[Grain], defaults: &[BTreeMap<Box<str>, serde_json::Value>]) -> Grain {
    if field.atomic {
        return Grain::Leaf;
    }
    if let (true, Type::Struct(place)) = (field.granular, &field.ty) {
        return Grain::Struct(*place);
    }
    match (&field.ty, &field.list) {
        (Type::List(item), ListKind::Map(names)) => {
            let Type::Struct(item) = **item else { return Grain::Leaf };
            let mut keys: Vec<Key> = names
                .iter()
                .map(|name| Key { name: name.clone(), default: defaults[item].get(name).cloned() })
                .collect();
            keys.sort_by(|a, b| a.name.cmp(&b.name));
            Grain::Keyed { keys, item }
        }
        (Type::List(_), ListKind::Set) => Grain::Set,
        (ty, _) => plain_grain(ty, grains),
    }
}

/// The grain of a value that no list kind is said of: lists below maps are owned whole.
fn plain_grain(ty: &Type, grains: &[Grain]) -> Grain {
    match ty {
        Type::Struct(place) => grains[*place].clone(),
        Type::Map(inner) => Grain::Map(Box::new(plain_grain(inner, grains))),
        _ => Grain::Leaf,
    }
}
