//! Frames: what a backup file is made of, behind its first 16 bytes.
//!
//! A frame is a kind (1 byte), the length of its body (4 bytes), a CRC-32C (4 bytes) and the body; numbers are
//! little-endian. The checksum covers the frame's offset in the file too, so that none can stand in the place of another.

use std::io::{self, Read};

use prost::Message;

use crate::Error;

/// The first bytes of a file. The last one is the version of the format.
pub(crate) const MAGIC: &[u8; 16] = b"TRIREME BACKUP 1";

/// Longer than any frame is written, and short enough to be read whole.
const BODY_BYTES_MAX: u32 = 64 << 20;

const HEAD_BYTES: usize = 9;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Header = b'H',
    Leases = b'L',
    Entries = b'E',
    End = b'Z',
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Header, Self::Leases, Self::Entries, Self::End].into_iter().find(|kind| *kind as u8 == byte)
    }
}

fn checksum(offset: u64, kind: u8, body: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), &[kind]);
    crc32c::crc32c_append(place, body)
}

/// Writes a frame that begins at `offset` of the file.
pub(crate) fn write(offset: u64, kind: Kind, message: &impl Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).expect("frames are cut far below 4 GiB");
    let mut frame = Vec::with_capacity(HEAD_BYTES + body.len());
    frame.push(kind as u8);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&checksum(offset, kind as u8, &body).to_le_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// Reads the frame at `offset`; its kind, and all its bytes.
pub(crate) fn read(file: &mut impl Read, offset: u64) -> Result<(Kind, Vec<u8>), Error> {
    let mut frame = vec![0; HEAD_BYTES];
    fill(file, &mut frame, offset)?;
    let damaged = |what: &str| Error::damaged(offset, what);
    let number = |at: usize| u32::from_le_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
    let (length, sum) = (number(1), number(5));
    let kind = Kind::of(frame[0]).ok_or_else(|| damaged("no frame begins here"))?;
    if length > BODY_BYTES_MAX {
        return Err(damaged("the length of a frame is absurd"));
    }
    frame.resize(HEAD_BYTES + length as usize, 0);
    fill(file, &mut frame[HEAD_BYTES..], offset + HEAD_BYTES as u64)?;
    if checksum(offset, kind as u8, &frame[HEAD_BYTES..]) != sum {
        return Err(damaged("the checksum of a frame is wrong"));
    }
    Ok((kind, frame))
}

/// The message of a frame that was read at `offset`.
pub(crate) fn message<M: Message + Default>(offset: u64, frame: &[u8]) -> Result<M, Error> {
    M::decode(&frame[HEAD_BYTES..]).map_err(|error| Error::damaged(offset, error.to_string()))
}

/// Fills a buffer from `offset` of the file.
pub(crate) fn fill(file: &mut impl Read, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => return Err(Error::CutShort { at: offset + filled as u64 }),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
