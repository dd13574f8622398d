//! `runtime.Unknown`: a message with the name of its type.

use super::ReadError;
use super::scalar::text;
use super::wire::{Piece, Pieces, put_bytes, put_varint, varint_len};

/// What every object in protobuf begins with.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// Whether bytes are an object in protobuf.
pub fn is_enveloped(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// What an envelope says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unknown<'b> {
    pub(super) api_version: &'b str,
    pub(super) kind: &'b str,
    pub(super) raw: &'b [u8],
}

/// Opens an envelope.
pub(super) fn open(bytes: &[u8]) -> Result<Unknown<'_>, ReadError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(ReadError::Magic)?;
    let mut unknown = Unknown::default();
    let mut pieces = Pieces::of(rest);
    while let Some((number, piece)) = pieces.next()? {
        match (number, piece) {
            (1, Piece::Bytes(type_meta)) => {
                let mut pieces = Pieces::of(type_meta);
                while let Some((number, piece)) = pieces.next()? {
                    match (number, piece) {
                        (1, Piece::Bytes(bytes)) => unknown.api_version = text(bytes)?,
                        (2, Piece::Bytes(bytes)) => unknown.kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Piece::Bytes(raw)) => unknown.raw = raw,
            (3, Piece::Bytes(encoding)) if !encoding.is_empty() => {
                return Err(ReadError::Encoding(text(encoding)?.to_owned()));
            }
            _ => {}
        }
    }
    Ok(unknown)
}

/// The envelope of a message, up to where its `length` bytes begin.
pub fn envelope(api_version: &str, kind: &str, length: usize) -> Vec<u8> {
    let mut type_meta = Vec::with_capacity(api_version.len() + kind.len() + 4);
    put_bytes(&mut type_meta, 1, api_version.as_bytes());
    put_bytes(&mut type_meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(MAGIC.len() + type_meta.len() + varint_len(length as u64) + 4 + length);
    out.extend_from_slice(&MAGIC);
    put_bytes(&mut out, 1, &type_meta);
    out.push(2 << 3 | 2);
    put_varint(&mut out, length as u64);
    out
}
