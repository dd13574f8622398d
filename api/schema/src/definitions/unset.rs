//! What an object has without having been given it: Go's encoder leaves out an empty value only where the field says so, and
//! never a struct that its owner holds in place.

use serde_json::{Value, json};

use super::{Definition, Field, Type};

/// Fields of a struct that stand in every object, by their places.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Unset {
    /// Values and structs.
    pub(crate) kept: Vec<usize>,
    /// Lists, maps and times: `null` when they are empty.
    pub(crate) null: Vec<usize>,
    /// Fields below which there is one that may be `null`.
    pub(crate) on_the_way: Vec<usize>,
}

impl Field {
    /// Whether the field stands in every object with a value, or with the struct itself.
    pub(crate) fn is_kept(&self) -> bool {
        !self.pointer && (matches!(self.ty, Type::Struct(_)) || self.zero().is_some())
    }

    /// The value of a scalar that is written although it was not given.
    pub(crate) fn zero(&self) -> Option<Value> {
        if self.pointer {
            return None;
        }
        match &self.ty {
            _ if !self.shown_empty => None,
            Type::String => Some("".into()),
            Type::Boolean => Some(false.into()),
            Type::Int32 | Type::Int64 | Type::Number => Some(json!(0)),
            _ => None,
        }
    }

    /// Whether the field stands in every object, as `null` if need be.
    pub(crate) fn is_null_when_unset(&self) -> bool {
        match &self.ty {
            // The one field with `omitzero`.
            Type::Time | Type::MicroTime => !self.pointer && self.name() != "creationTimestamp",
            Type::List(_) | Type::Map(_) => self.shown_empty,
            _ => self.pointer && self.shown_empty,
        }
    }
}

impl Definition {
    /// How many fields stand in every object.
    pub(crate) fn kept(&self) -> usize {
        self.unset.kept.len() + self.unset.null.len()
    }

    /// See [`Unset`].
    pub(crate) fn unset(&self) -> &Unset {
        &self.unset
    }

    /// The field at a place of [`Unset`].
    pub(crate) fn field_at(&self, place: usize) -> &Field {
        &self.fields[place]
    }
}

/// The struct that a value of a type is, or holds items of.
pub(crate) fn struct_of(ty: &Type) -> Option<usize> {
    match ty {
        Type::Struct(place) => Some(*place),
        Type::List(inner) | Type::Map(inner) => struct_of(inner),
        _ => None,
    }
}

/// Says of every type what its objects have without having been given it.
pub(super) fn resolve(definitions: &mut [Definition]) {
    for definition in definitions.iter_mut() {
        let places = |wanted: &dyn Fn(&Field) -> bool| {
            let fields = definition.fields.iter().enumerate();
            fields.filter(|(_, field)| wanted(field)).map(|(place, _)| place).collect()
        };
        definition.unset =
            Unset { kept: places(&Field::is_kept), null: places(&Field::is_null_when_unset), on_the_way: Vec::new() };
    }
    let mut reaches: Vec<bool> = definitions.iter().map(|definition| !definition.unset.null.is_empty()).collect();
    loop {
        let mut found = false;
        for (place, definition) in
            definitions.iter().enumerate().filter(|(place, _)| !reaches[*place]).collect::<Vec<_>>()
        {
            reaches[place] =
                definition.fields.iter().filter_map(|field| struct_of(&field.ty)).any(|below| reaches[below]);
            found |= reaches[place];
        }
        if !found {
            break;
        }
    }
    for definition in definitions {
        let fields = definition.fields.iter().enumerate();
        let below = |field: &Field| struct_of(&field.ty).is_some_and(|below| reaches[below]);
        definition.unset.on_the_way = fields.filter(|(_, field)| below(field)).map(|(place, _)| place).collect();
    }
}
