//! The wire format of protocol buffers: varints, tags, lengths.

use super::ReadError;

/// How a field's value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'b> {
    /// Integers and booleans.
    Varint(u64),
    /// Eight bytes, little endian.
    Fixed64(u64),
    /// Strings, bytes, messages.
    Bytes(&'b [u8]),
    /// Four bytes: nothing in Kubernetes has this layout.
    Fixed32(u32),
}

/// Takes a message apart.
pub(super) struct Pieces<'b> {
    rest: &'b [u8],
}

impl<'b> Pieces<'b> {
    pub(super) fn of(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Piece<'b>)>, ReadError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0).ok_or(ReadError::Tag(tag))?;
        let piece = match tag & 7 {
            0 => Piece::Varint(self.varint()?),
            1 => Piece::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ReadError::Truncated)?;
                Piece::Bytes(self.take(length)?)
            }
            5 => Piece::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(ReadError::Tag(tag)),
        };
        Ok(Some((number, piece)))
    }

    /// Varints without tags, as packed lists have them; `None` at the end.
    pub(super) fn next_packed(&mut self) -> Result<Option<Piece<'b>>, ReadError> {
        if self.rest.is_empty() { Ok(None) } else { Ok(Some(Piece::Varint(self.varint()?))) }
    }

    fn varint(&mut self) -> Result<u64, ReadError> {
        let mut value = 0_u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(ReadError::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], ReadError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        self.take(N)?.try_into().map_err(|_| ReadError::Truncated)
    }
}

/// How many bytes a varint takes.
pub(super) fn varint_len(value: u64) -> usize {
    (value.max(1).ilog2() / 7 + 1) as usize
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

pub(crate) fn put_int(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

pub(super) fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_that_is_foretold() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(Pieces::of(&out).varint(), Ok(value));
        }
    }

    #[test]
    fn broken_messages_are_refused() {
        let first = |bytes: &[u8]| Pieces::of(bytes).next().map(|piece| piece.is_some());
        assert_eq!(first(&[]), Ok(false));
        assert_eq!(first(&[0x0a, 5, 1]), Err(ReadError::Truncated));
        assert_eq!(first(&[0x08]), Err(ReadError::Truncated));
        assert_eq!(first(&[0x08, 0xff]), Err(ReadError::Truncated));
        assert_eq!(first(&[0x09, 1]), Err(ReadError::Truncated));
        assert_eq!(first(&[0x0f, 1]), Err(ReadError::Tag(0x0f)));
        assert_eq!(first(&[0x00, 1]), Err(ReadError::Tag(0)));
        assert_eq!(first(&[0x08; 12]), Ok(true));
        assert_eq!(first(&[0x88; 12]), Err(ReadError::Truncated));
    }
}
