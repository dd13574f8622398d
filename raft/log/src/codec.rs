//! The one place that encodes: a version byte, then bincode; records carry a checksum of ours besides.
//!
//! bincode is unmaintained; the version byte is there so that another codec can follow it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// The version written by this build.
pub const VERSION: u8 = 1;

/// Encodes a value.
///
/// # Panics
/// When the type cannot be encoded at all: a defect of the type.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_sized(value, 64)
}

/// As [`encode`], for a value of which it is known about how many bytes it makes.
///
/// # Panics
/// As [`encode`].
pub fn encode_sized<T: Serialize>(value: &T, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    append(value, &mut bytes);
    bytes
}

fn append<T: Serialize>(value: &T, bytes: &mut Vec<u8>) {
    bytes.push(VERSION);
    bincode::serde::encode_into_std_write(value, bytes, bincode::config::standard())
        .expect("our types encode, and memory takes any write");
}

/// Decodes what [`encode`] made.
///
/// # Errors
/// On another version, or bytes that are no `T`. `what` names it in the message.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    let damaged = |detail: String| Error::Damaged { what, detail };
    let (version, body) = bytes.split_first().ok_or_else(|| damaged("it is empty".to_owned()))?;
    if *version != VERSION {
        return Err(Error::UnknownVersion { what, found: *version, supported: VERSION });
    }
    let (value, used) = bincode::serde::decode_from_slice(body, bincode::config::standard())
        .map_err(|error| damaged(error.to_string()))?;
    if used != body.len() {
        return Err(damaged(format!("{} bytes too many", body.len() - used)));
    }
    Ok(value)
}

/// Reads a number in a key or a mark, big-endian; `None` when the bytes are more or fewer.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// Puts a checksum before bytes. It covers `place` too (a log index, a revision), so that a record in the wrong place is
/// noticed.
pub(crate) fn seal(place: u64, bytes: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(4 + bytes.len());
    sealed.extend_from_slice(&checksum(place, bytes).to_le_bytes());
    sealed.extend_from_slice(bytes);
    sealed
}

/// Encodes and seals in one buffer.
pub(crate) fn encode_sealed<T: Serialize>(place: u64, value: &T, size: usize) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(4 + size);
    sealed.extend_from_slice(&[0; 4]);
    append(value, &mut sealed);
    let sum = checksum(place, &sealed[4..]);
    sealed[..4].copy_from_slice(&sum.to_le_bytes());
    sealed
}

/// Takes the checksum off and checks it.
pub(crate) fn open<'a>(what: &'static str, place: u64, sealed: &'a [u8]) -> Result<&'a [u8], Error> {
    let damaged = || Error::Damaged { what, detail: format!("the checksum at {place} is wrong") };
    let (sum, bytes) = sealed.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*sum) == checksum(place, bytes) { Ok(bytes) } else { Err(damaged()) }
}

fn checksum(place: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&place.to_le_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_decodes_and_nothing_else_does() {
        let bytes = encode(&(7_u64, "seven".to_owned()));
        assert_eq!(decode::<(u64, String)>("a pair", &bytes).unwrap(), (7, "seven".to_owned()));
        let mut future = bytes.clone();
        future[0] = 9;
        let error = decode::<(u64, String)>("a pair", &future).unwrap_err().to_string();
        assert_eq!(error, "a pair has format version 9; this build reads version 1");
        assert!(decode::<(u64, String)>("a pair", &bytes[..3]).is_err());
        assert!(decode::<(u64, String)>("a pair", &[]).is_err());
    }

    #[test]
    fn a_flipped_bit_or_a_wrong_place_is_noticed() {
        let sealed = seal(5, b"record");
        assert_eq!(open("a record", 5, &sealed).unwrap(), b"record");
        assert_eq!(encode_sealed(5, &7_u8, 8), seal(5, &encode(&7_u8)));
        assert!(open("a record", 6, &sealed).is_err());
        for byte in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[byte] ^= 1;
            assert!(open("a record", 5, &bad).is_err(), "byte {byte}");
        }
    }
}
