//! Protobuf to JSON.

use serde_json::{Map, Value};

use super::envelope::open;
use super::scalar::{self, text};
use super::table::{Messages, Slot};
use super::wire::{Piece, Pieces};
use crate::Schema;
use crate::definitions::Type;

/// How deep messages may be nested.
const DEPTH_MAX: usize = 100;

/// Why bytes are no object in protobuf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Something else altogether.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// The end comes too early.
    #[error("unexpected EOF")]
    Truncated,
    /// A field with no number, or of a layout that does not exist.
    #[error("proto: illegal tag {0}")]
    Tag(u64),
    /// A field has another layout than its type.
    #[error("proto: wrong wireType")]
    Layout,
    /// A string is no text.
    #[error("proto: invalid UTF-8 in a string")]
    Utf8,
    /// Embedded JSON is none.
    #[error("{0}")]
    Json(String),
    /// Messages are nested too deep.
    #[error("proto: nested too deep")]
    Depth,
    /// `contentEncoding`
    #[error("unsupported content encoding {0:?}")]
    Encoding(String),
    /// A type that is not built in.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    Kind {
        /// `apps/v1`
        api_version: String,
        /// `Deployment`
        kind: String,
    },
}

/// Reads an object in its envelope. One that does not name its type is of the type that was expected.
///
/// # Errors
/// For anything but a built-in type's message.
pub fn read(bytes: &[u8], expected: Option<Schema<'static>>) -> Result<Value, ReadError> {
    let unknown = open(bytes)?;
    let messages = Messages::builtin();
    let found = if unknown.kind.is_empty() {
        expected.map(Schema::index)
    } else {
        messages.of_kind(unknown.api_version, unknown.kind)
    };
    let index = found.ok_or_else(|| ReadError::Kind {
        api_version: unknown.api_version.to_owned(),
        kind: unknown.kind.to_owned(),
    })?;
    let mut object = Map::new();
    for (name, value) in [("kind", unknown.kind), ("apiVersion", unknown.api_version)] {
        if !value.is_empty() {
            object.insert(name.to_owned(), value.into());
        }
    }
    Reader { messages }.message(index, unknown.raw, &mut object, 0)?;
    Ok(Value::Object(object))
}

struct Reader {
    messages: &'static Messages,
}

impl Reader {
    /// Adds a message's fields to an object.
    fn message(
        &self,
        index: usize,
        bytes: &[u8],
        into: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), ReadError> {
        if depth > DEPTH_MAX {
            return Err(ReadError::Depth);
        }
        let slots = self.messages.at(index);
        let mut pieces = Pieces::of(bytes);
        while let Some((number, piece)) = pieces.next()? {
            // Fields of a later version are skipped, as Go's decoder does.
            let Ok(place) = slots.binary_search_by_key(&number, |slot| slot.number) else { continue };
            self.field(&slots[place], piece, into, depth)?;
        }
        for slot in slots.iter().filter(|slot| slot.shown_empty && !slot.pointer) {
            if let Some(empty) = empty(&slot.ty)
                && !into.contains_key(&*slot.name)
            {
                into.insert(slot.name.clone().into(), empty);
            }
        }
        Ok(())
    }

    fn field(
        &self,
        slot: &Slot,
        piece: Piece<'_>,
        into: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), ReadError> {
        if let Some(index) = slot.inline {
            let Piece::Bytes(bytes) = piece else { return Err(ReadError::Layout) };
            return self.message(index, bytes, into, depth + 1);
        }
        match &slot.ty {
            Type::List(item) if !slot.wrapped => {
                let list = into.entry(&*slot.name).or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(items) = list else { return Err(ReadError::Layout) };
                self.items(item, piece, items, depth)
            }
            Type::Map(inner) => {
                let (key, value) = self.entry(inner, piece, depth)?;
                let map = into.entry(&*slot.name).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(map) = map else { return Err(ReadError::Layout) };
                map.insert(key, value);
                Ok(())
            }
            ty => {
                let value = self.value(ty, piece, depth)?;
                let hidden = !slot.pointer && !slot.shown_empty && empty(ty).is_some_and(|empty| empty == value);
                if !hidden && !value.is_null() {
                    into.insert(slot.name.clone().into(), value);
                }
                Ok(())
            }
        }
    }

    /// An item of a list, or many of them where they are packed.
    fn items(&self, item: &Type, piece: Piece<'_>, items: &mut Vec<Value>, depth: usize) -> Result<(), ReadError> {
        let packable = matches!(item, Type::Boolean | Type::Int32 | Type::Int64);
        if let (true, Piece::Bytes(bytes)) = (packable, piece) {
            let mut pieces = Pieces::of(bytes);
            while let Some(piece) = pieces.next_packed()? {
                items.push(scalar::read(item, piece)?);
            }
        } else {
            items.push(self.value(item, piece, depth)?);
        }
        Ok(())
    }

    /// An entry of a map.
    fn entry(&self, inner: &Type, piece: Piece<'_>, depth: usize) -> Result<(String, Value), ReadError> {
        let Piece::Bytes(bytes) = piece else { return Err(ReadError::Layout) };
        let mut key = String::new();
        let mut value = None;
        let mut pieces = Pieces::of(bytes);
        while let Some((number, piece)) = pieces.next()? {
            match (number, piece) {
                (1, Piece::Bytes(bytes)) => text(bytes)?.clone_into(&mut key),
                (2, piece) => value = Some(self.value(inner, piece, depth)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None => match empty(inner) {
                Some(empty) => empty,
                None => self.value(inner, Piece::Bytes(&[]), depth)?,
            },
        };
        Ok((key, value))
    }

    fn value(&self, ty: &Type, piece: Piece<'_>, depth: usize) -> Result<Value, ReadError> {
        match (ty, piece) {
            (Type::Struct(index), Piece::Bytes(bytes)) => {
                let mut object = Map::new();
                self.message(*index, bytes, &mut object, depth + 1)?;
                Ok(Value::Object(object))
            }
            // A list where one value is due is wrapped in a message.
            (Type::List(item), Piece::Bytes(bytes)) => {
                let mut items = Vec::new();
                let mut pieces = Pieces::of(bytes);
                while let Some((number, piece)) = pieces.next()? {
                    if number == 1 {
                        self.items(item, piece, &mut items, depth + 1)?;
                    }
                }
                Ok(items.into())
            }
            (Type::Struct(_) | Type::List(_) | Type::Map(_), _) => Err(ReadError::Layout),
            (ty, piece) => scalar::read(ty, piece),
        }
    }
}

/// What Go calls empty; `None` for types whose emptiness JSON does not hide.
fn empty(ty: &Type) -> Option<Value> {
    Some(match ty {
        Type::String | Type::Bytes => "".into(),
        Type::Boolean => false.into(),
        Type::Int32 | Type::Int64 => 0.into(),
        Type::Number => 0.0.into(),
        _ => return None,
    })
}
