//! Length-prefixed messages.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use crate::status::{Code, Status};

/// A flag byte and the length.
pub(crate) const PREFIX: usize = 5;

/// The largest message that is taken in: etcd's limit of a request, and room for what is around it.
pub(crate) const MESSAGE_MAX: usize = (1536 + 512) << 10;

/// Appends a message in its frame.
pub(crate) fn append(message: &impl Message, out: &mut BytesMut) {
    let length = message.encoded_len();
    out.reserve(PREFIX + length);
    out.put_u8(0);
    out.put_u32(u32::try_from(length).expect("a message below 4 GiB"));
    message.encode(out).expect("room was made");
}

/// The length of the message that a frame begins with, once its prefix is there.
///
/// # Errors
/// When it is compressed, or longer than what is taken in.
fn length(buffer: &[u8]) -> Result<Option<usize>, Status> {
    let Some((prefix, _)) = buffer.split_first_chunk::<PREFIX>() else { return Ok(None) };
    if prefix[0] != 0 {
        return Err(Status::new(Code::Unimplemented, "grpc: compressed messages are not taken"));
    }
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if length > MESSAGE_MAX {
        let text = format!("grpc: received message larger than max ({length} vs. {MESSAGE_MAX})");
        return Err(Status::new(Code::ResourceExhausted, text));
    }
    Ok(Some(length))
}

/// Takes one message's bytes out of a buffer when all of them are there.
pub(crate) fn take(buffer: &mut Bytes) -> Result<Option<Bytes>, Status> {
    match length(buffer)? {
        Some(length) if buffer.len() >= PREFIX + length => {
            buffer.advance(PREFIX);
            Ok(Some(buffer.split_to(length)))
        }
        _ => Ok(None),
    }
}

pub(crate) fn decode<M: Message + Default>(bytes: Bytes) -> Result<M, Status> {
    M::decode(bytes).map_err(|e| Status::new(Code::Internal, format!("grpc: error unmarshalling request: {e}")))
}
