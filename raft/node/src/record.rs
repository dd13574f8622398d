//! What a log entry holds: proposals, each encoded by the member that made it, one behind the other.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Joins encoded proposals into the payload of an entry.
pub(crate) fn join<'a>(proposals: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let length: usize = proposals.clone().map(|p| 4 + p.len()).sum();
    let mut joined = BytesMut::with_capacity(length);
    for proposal in proposals {
        let length = u32::try_from(proposal.len()).expect("a proposal is far below 4 GiB");
        joined.put_u32_le(length);
        joined.put_slice(proposal);
    }
    joined.freeze()
}

/// Takes a payload apart; `None` when it was not made by [`join`].
pub(crate) fn split(mut joined: Bytes) -> Option<Vec<Bytes>> {
    let mut proposals = Vec::new();
    while !joined.is_empty() {
        if joined.len() < 4 {
            return None;
        }
        let length = joined.get_u32_le() as usize;
        if joined.len() < length {
            return None;
        }
        proposals.push(joined.split_to(length));
    }
    Some(proposals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_joined_comes_apart() {
        for parts in [&[][..], &["a"], &["", "bcd", "e"]] {
            let parts: Vec<Bytes> = parts.iter().map(|p| Bytes::copy_from_slice(p.as_bytes())).collect();
            assert_eq!(split(join(parts.iter())), Some(parts));
        }
        assert_eq!(split(Bytes::from_static(&[1, 0, 0])), None);
        assert_eq!(split(Bytes::from_static(&[2, 0, 0, 0, 9])), None);
    }
}
