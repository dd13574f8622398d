//! Reading a backup back from where it lies, to its end.

use std::io::{self, Read};

use anyhow::{Context, Result, ensure};
use bytes::{Buf, Bytes};
use raft_backup::{Checked, Reader};

use super::place::Incoming;

/// Bytes that arrive in chunks, for a reader that blocks.
pub struct ChunkReader {
    chunks: Incoming,
    rest: Bytes,
}

impl ChunkReader {
    /// To be read on a thread that may block.
    pub fn new(chunks: Incoming) -> Self {
        Self { chunks, rest: Bytes::new() }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.rest = chunk?,
            }
        }
        let length = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Checks that what lies there is a whole backup as of `revision`.
pub(super) async fn check(chunks: Incoming, revision: u64) -> Result<Checked> {
    let work = move || {
        let reader = Reader::new(ChunkReader::new(chunks))?;
        let found = reader.header().revision;
        ensure!(found == revision, "it is as of revision {found}, not {revision}");
        Ok(reader.check()?)
    };
    tokio::task::spawn_blocking(work).await.context("the check was cut short")?
}
