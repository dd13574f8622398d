//! Scalars that are messages on the wire: times, quantities, ports, embedded JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ReadError;
use super::wire::{Piece, Pieces, put_bytes, put_int};
use crate::definitions::Type;

/// A value of a type that is no list, map or struct.
pub(super) fn read(ty: &Type, piece: Piece<'_>) -> Result<Value, ReadError> {
    Ok(match (ty, piece) {
        (Type::String, Piece::Bytes(bytes)) => text(bytes)?.into(),
        (Type::Bytes, Piece::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Type::Boolean, Piece::Varint(value)) => (value != 0).into(),
        (Type::Int64, Piece::Varint(value)) => value.cast_signed().into(),
        // Negative ones come sign-extended; what is cut off is what Go cuts off.
        #[expect(clippy::cast_possible_truncation, reason = "as Go's decoder does")]
        (Type::Int32, Piece::Varint(value)) => (value as u32).cast_signed().into(),
        (Type::Number, Piece::Fixed64(bits)) => f64::from_bits(bits).into(),
        (Type::Time, Piece::Bytes(bytes)) => time(bytes, api_kinds::time::rfc3339)?,
        (Type::MicroTime, Piece::Bytes(bytes)) => time(bytes, api_kinds::time::rfc3339_micro)?,
        (Type::Quantity, Piece::Bytes(bytes)) => {
            let amount = field(bytes, 1)?;
            match amount {
                Some(Piece::Bytes(amount)) => text(amount)?.into(),
                _ => "0".into(),
            }
        }
        (Type::IntOrString, Piece::Bytes(bytes)) => int_or_string(bytes)?,
        (Type::Any, Piece::Bytes(bytes)) => match field(bytes, 1)? {
            Some(Piece::Bytes(raw)) if super::is_enveloped(raw) => super::read(raw, None)?,
            Some(Piece::Bytes(raw)) if !raw.is_empty() => {
                serde_json::from_slice(raw).map_err(|error| ReadError::Json(error.to_string()))?
            }
            _ => Value::Null,
        },
        _ => return Err(ReadError::Layout),
    })
}

/// The last value of a field of a message.
fn field(bytes: &[u8], wanted: u32) -> Result<Option<Piece<'_>>, ReadError> {
    let mut pieces = Pieces::of(bytes);
    let mut found = None;
    while let Some((number, piece)) = pieces.next()? {
        if number == wanted {
            found = Some(piece);
        }
    }
    Ok(found)
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, ReadError> {
    std::str::from_utf8(bytes).map_err(|_| ReadError::Utf8)
}

/// Without any content it is Go's zero time, which JSON shows as null.
fn time(bytes: &[u8], show: fn(i64) -> String) -> Result<Value, ReadError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let number = |wanted| {
        Ok(match field(bytes, wanted)? {
            Some(Piece::Varint(value)) => value.cast_signed(),
            _ => 0,
        })
    };
    let (seconds, nanos) = (number(1)?, number(2)?);
    let us = seconds.checked_mul(1_000_000).and_then(|us| us.checked_add(nanos / 1_000));
    Ok(show(us.ok_or(ReadError::Layout)?).into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ReadError> {
    let is_text = matches!(field(bytes, 1)?, Some(Piece::Varint(kind)) if kind != 0);
    Ok(match (is_text, field(bytes, if is_text { 3 } else { 2 })?) {
        (true, Some(Piece::Bytes(bytes))) => text(bytes)?.into(),
        (true, _) => "".into(),
        (false, Some(piece)) => read(&Type::Int32, piece)?,
        (false, None) => 0.into(),
    })
}

/// Writes what [`read`] reads. A value of another type than its own is left out: objects were checked before.
pub(super) fn write(out: &mut Vec<u8>, number: u32, ty: &Type, value: &Value) {
    match (ty, value) {
        (Type::String, Value::String(text)) => put_bytes(out, number, text.as_bytes()),
        (Type::Bytes, Value::String(text)) => {
            let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            if let Ok(bytes) = STANDARD.decode(compact) {
                put_bytes(out, number, &bytes);
            }
        }
        (Type::Boolean, Value::Bool(value)) => put_int(out, number, u64::from(*value)),
        (Type::Int32 | Type::Int64, _) => {
            if let Some(value) = value.as_i64() {
                put_int(out, number, value.cast_unsigned());
            }
        }
        (Type::Number, _) => {
            if let Some(value) = value.as_f64() {
                super::wire::put_fixed64(out, number, value.to_bits());
            }
        }
        (Type::Time | Type::MicroTime, Value::String(text)) => {
            let us = api_kinds::time::parse(text).unwrap_or_default();
            let nanos = if *ty == Type::Time { 0 } else { us.rem_euclid(1_000_000) * 1_000 };
            let mut inner = Vec::with_capacity(16);
            put_int(&mut inner, 1, us.div_euclid(1_000_000).cast_unsigned());
            put_int(&mut inner, 2, nanos.cast_unsigned());
            put_bytes(out, number, &inner);
        }
        (Type::Quantity, Value::String(text)) => {
            let mut inner = Vec::with_capacity(text.len() + 2);
            put_bytes(&mut inner, 1, text.as_bytes());
            put_bytes(out, number, &inner);
        }
        (Type::IntOrString, _) => put_bytes(out, number, &written_int_or_string(value)),
        (Type::Any, _) if !value.is_null() => {
            let mut inner = Vec::new();
            put_bytes(&mut inner, 1, value.to_string().as_bytes());
            put_bytes(out, number, &inner);
        }
        _ => {}
    }
}

fn written_int_or_string(value: &Value) -> Vec<u8> {
    let mut inner = Vec::with_capacity(16);
    match value {
        Value::String(text) => {
            put_int(&mut inner, 1, 1);
            put_int(&mut inner, 2, 0);
            put_bytes(&mut inner, 3, text.as_bytes());
        }
        _ => {
            put_int(&mut inner, 1, 0);
            put_int(&mut inner, 2, value.as_i64().unwrap_or_default().cast_unsigned());
            put_bytes(&mut inner, 3, &[]);
        }
    }
    inner
}
