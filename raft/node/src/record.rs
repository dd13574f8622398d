//! What a log entry holds: proposals, each encoded by the member that made it, one behind the other, and the whole
//! compressed where that pays.
//!
//! Objects that are written together are much alike: LZ4 makes a fifth of them. It is done once, by the leader; two members get
//! the result over the network, and three write it to their disks twice. Sealed values do not compress, and stay as they are.

use std::mem::size_of;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// In the place of the first proposal's length: the rest is the length of what was compressed, and an LZ4 block. No proposal
/// is that long.
const COMPRESSED: u32 = u32::MAX;

/// Two numbers: [`COMPRESSED`], and how long the whole was.
const PREFIX: usize = 2 * size_of::<u32>();

/// Below this a block saves no page of the disk and no packet.
const COMPRESSED_MIN: usize = 1024;

/// LZ4 cannot do better; who claims it has damaged data.
const RATIO_MAX: usize = 255;

/// Joins encoded proposals into the payload of an entry, compressed where that may be and pays.
pub(crate) fn join<'a>(proposals: impl Iterator<Item = &'a Bytes> + Clone, may_compress: bool) -> Bytes {
    let length: usize = proposals.clone().map(|p| 4 + p.len()).sum();
    let mut joined = BytesMut::with_capacity(length);
    for proposal in proposals {
        let length = u32::try_from(proposal.len()).expect("a proposal is far below 4 GiB");
        joined.put_u32_le(length);
        joined.put_slice(proposal);
    }
    may_compress.then(|| compress(&joined)).flatten().unwrap_or_else(|| joined.freeze())
}

/// Whether a payload is compressed.
pub(crate) fn is_compressed(payload: &Bytes) -> bool {
    payload.starts_with(&COMPRESSED.to_le_bytes())
}

/// `None` when it is not worth it.
fn compress(joined: &[u8]) -> Option<Bytes> {
    if joined.len() < COMPRESSED_MIN {
        return None;
    }
    let mut block = vec![0; PREFIX + lz4_flex::block::get_maximum_output_size(joined.len())];
    let length = lz4_flex::block::compress_into(joined, &mut block[PREFIX..]).ok()?;
    if length > joined.len() / 8 * 7 {
        return None;
    }
    let whole = u32::try_from(joined.len()).ok()?;
    block[..4].copy_from_slice(&COMPRESSED.to_le_bytes());
    block[4..PREFIX].copy_from_slice(&whole.to_le_bytes());
    // It is kept for long, in the tail of the log.
    Some(Bytes::copy_from_slice(&block[..PREFIX + length]))
}

/// Takes a payload apart; `None` when it was not made by [`join`].
pub(crate) fn split(payload: Bytes) -> Option<Vec<Bytes>> {
    let mut joined = expand(payload)?;
    let mut proposals = Vec::new();
    while !joined.is_empty() {
        let length = joined.try_get_u32_le().ok()? as usize;
        if joined.len() < length {
            return None;
        }
        proposals.push(joined.split_to(length));
    }
    Some(proposals)
}

fn expand(payload: Bytes) -> Option<Bytes> {
    if !is_compressed(&payload) {
        return Some(payload);
    }
    let mut block = payload.slice(4..);
    let whole = block.try_get_u32_le().ok()? as usize;
    if whole > block.len().saturating_mul(RATIO_MAX) {
        return None;
    }
    let mut joined = vec![0; whole];
    let length = lz4_flex::block::decompress_into(&block, &mut joined).ok()?;
    (length == whole).then(|| joined.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(parts: Vec<Bytes>) -> usize {
        let joined = join(parts.iter(), true);
        let length = joined.len();
        assert_eq!(split(joined), Some(parts));
        length
    }

    #[test]
    fn what_was_joined_comes_apart() {
        for parts in [&[][..], &["a"], &["", "bcd", "e"]] {
            there_and_back(parts.iter().map(|p| Bytes::copy_from_slice(p.as_bytes())).collect());
        }
        assert_eq!(split(Bytes::from_static(&[1, 0, 0])), None);
        assert_eq!(split(Bytes::from_static(&[2, 0, 0, 0, 9])), None);
    }

    #[test]
    fn what_is_alike_is_compressed_and_what_is_random_is_not() {
        let alike = Bytes::from("\"apiVersion\":\"v1\",".repeat(100));
        assert_eq!(join([&alike].into_iter(), false).len(), 4 + alike.len(), "not where it may not be");
        assert!(there_and_back(vec![alike.clone(), alike]) < 200);
        let mut noise = 1_u64;
        let random: Bytes = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            noise.to_be_bytes()[0]
        })
        .take(5000)
        .collect();
        assert_eq!(there_and_back(vec![random]), 5004);
    }

    #[test]
    fn damage_to_a_compressed_payload_is_refused_or_harmless_and_never_takes_much_memory() {
        let sound = join([&Bytes::from("name".repeat(1000))].into_iter(), true);
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut damaged = sound.to_vec();
                damaged[at] ^= 1 << bit;
                let _ = split(damaged.into());
            }
            assert_eq!(split(sound.slice(..at)).filter(|parts| !parts.is_empty()), None, "cut at {at}");
        }
    }
}
