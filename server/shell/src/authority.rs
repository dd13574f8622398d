//! Lets clients in that write a URL where HTTP/2 wants host and port.
//!
//! etcd's client library before 3.5 dials one member (for its status, hash, snapshot, or to hand leadership over) by the
//! endpoint as it was written down, and sends that as `:authority`: `https://10.0.0.1:2379`. Servers in Go do not look at it;
//! HTTP/2 here refuses the request as malformed (RFC 9113, 8.3.1). So the three characters behind the scheme are overwritten
//! before HTTP/2 sees them, by others that are as many and as long when compressed: the tables of header compression stay
//! the same on both sides.
//!
//! Only the first header of a connection is looked at, unless that one had to be mended.

#![expect(clippy::unusual_byte_groupings, reason = "a group is a character")]

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
/// What a frame may hold unless a server allows more, which this one does not.
const FRAME_MAX: usize = 16 << 10;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;
/// `:authority` in the static table of header compression (RFC 7541, appendix A).
const AUTHORITY: usize = 1;

/// `://`, and what stands in its place.
const MARK: &[u8] = b"://";
const PUT: &[u8] = b"z--";
/// The same as compressed characters (RFC 7541, appendix B): bits, and how many.
const MARK_BITS: (u64, usize) = (0b1011100_011000_011000, 19);
const PUT_BITS: u64 = 0b1111011_010110_010110;
const HTTP_BITS: (u64, usize) = (0b100111_01001_01001_101011, 22);
const HTTPS_BITS: (u64, usize) = (0b100111_01001_01001_101011_01000, 27);

/// A stream that mends what it reads.
pub struct Lenient<S> {
    stream: S,
    /// `None` when there is nothing to be mended any more.
    mender: Option<Mender>,
}

impl<S> Lenient<S> {
    /// A connection from its first byte on.
    pub fn new(stream: S) -> Self {
        Self { stream, mender: Some(Mender::default()) }
    }
}

#[derive(Default)]
struct Mender {
    /// Came in, and is not known to be right.
    held: Vec<u8>,
    /// May be read.
    passed: Vec<u8>,
    /// How much of that was read.
    read: usize,
    /// Bytes of a frame that go by unseen.
    skip: usize,
    has_begun: bool,
    has_mended: bool,
    /// The rest is none of its business.
    is_done: bool,
}

impl Mender {
    fn take_in(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while !self.is_done && self.step() {}
        if self.is_done {
            self.pass(self.held.len());
        }
    }

    fn pass(&mut self, bytes: usize) {
        self.passed.extend(self.held.drain(..bytes));
    }

    /// Looks at what comes next; false when more has to come first.
    fn step(&mut self) -> bool {
        if !self.has_begun {
            let seen = self.held.len().min(PREFACE.len());
            self.is_done = self.held[..seen] != PREFACE[..seen];
            if self.is_done || seen < PREFACE.len() {
                return false;
            }
            self.has_begun = true;
            self.pass(PREFACE.len());
        }
        if self.skip > 0 {
            let now = self.skip.min(self.held.len());
            self.skip -= now;
            self.pass(now);
        }
        let Some(&[a, b, c, kind, flags, ..]) = self.held.get(..FRAME_HEADER) else { return false };
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if kind != HEADERS {
            self.pass(FRAME_HEADER);
            self.skip = length;
            return true;
        }
        if length > FRAME_MAX {
            self.is_done = true;
            return false;
        }
        let Some(block) = self.held.get_mut(FRAME_HEADER..FRAME_HEADER + length) else { return false };
        self.has_mended |= mend(block, flags).is_some();
        self.is_done = !self.has_mended;
        self.pass(FRAME_HEADER + length);
        true
    }
}

/// Mends the authority in a block of headers, if it is there and needs it.
fn mend(block: &mut [u8], flags: u8) -> Option<()> {
    let mut at = usize::from(flags & PADDED != 0) + if flags & WITH_PRIORITY != 0 { 5 } else { 0 };
    loop {
        let first = *block.get(at)?;
        let bits_of_index = match first {
            // From a table, name and value.
            0x80.. => {
                integer(block, &mut at, 7)?;
                continue;
            }
            // To be remembered.
            0x40..0x80 => 6,
            // Another size of the table.
            0x20..0x40 => {
                integer(block, &mut at, 5)?;
                continue;
            }
            _ => 4,
        };
        let name = integer(block, &mut at, bits_of_index)?;
        if name == 0 {
            at = text(block, at)?.1.end;
        }
        let (is_compressed, value) = text(block, at)?;
        at = value.end;
        if name == AUTHORITY {
            let value = block.get_mut(value)?;
            return if is_compressed { mend_compressed(value) } else { mend_plain(value) };
        }
    }
}

fn mend_plain(value: &mut [u8]) -> Option<()> {
    let starts_with = |scheme: &[u8]| value.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(MARK));
    let scheme = if starts_with(b"http") { 4 } else { starts_with(b"https").then_some(5)? };
    value[scheme..scheme + PUT.len()].copy_from_slice(PUT);
    Some(())
}

fn mend_compressed(value: &mut [u8]) -> Option<()> {
    let mut first = [0; 8];
    let bytes = value.len().min(first.len());
    first[..bytes].copy_from_slice(&value[..bytes]);
    let mut bits = u64::from_be_bytes(first);
    let upto = |bits: u64, count: usize| bits >> (64 - count);
    let (mark, mark_length) = MARK_BITS;
    let is = |(scheme, length): &(u64, usize)| upto(bits, length + mark_length) == scheme << mark_length | mark;
    let (_, scheme_length) = [HTTP_BITS, HTTPS_BITS].into_iter().find(is)?;
    bits ^= (mark ^ PUT_BITS) << (64 - scheme_length - mark_length);
    value[..bytes].copy_from_slice(&bits.to_be_bytes()[..bytes]);
    Some(())
}

/// A number whose first byte has so many bits for it (RFC 7541, 5.1).
fn integer(block: &[u8], at: &mut usize, bits: u32) -> Option<usize> {
    let most = (1 << bits) - 1;
    let mut number = usize::from(*block.get(*at)?) & most;
    *at += 1;
    if number < most {
        return Some(number);
    }
    for shift in [0, 7, 14] {
        let byte = usize::from(*block.get(*at)?);
        *at += 1;
        number += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Where a text lies, and whether its characters are compressed.
fn text(block: &[u8], mut at: usize) -> Option<(bool, std::ops::Range<usize>)> {
    let is_compressed = block.get(at)? & 0x80 != 0;
    let length = integer(block, &mut at, 7)?;
    Some((is_compressed, at..at + length))
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while let Some(mender) = &mut this.mender {
            let left = &mender.passed[mender.read..];
            if !left.is_empty() {
                let now = left.len().min(buffer.remaining());
                buffer.put_slice(&left[..now]);
                mender.read += now;
                return Poll::Ready(Ok(()));
            }
            if mender.is_done && mender.held.is_empty() {
                this.mender = None;
                break;
            }
            mender.passed.clear();
            mender.read = 0;
            let mut bytes = [0; 4 << 10];
            let mut came = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut came))?;
            // At the end what is held is passed on as it is.
            mender.is_done |= came.filled().is_empty();
            mender.take_in(came.filled());
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Gives so many bytes at a time.
    struct Slowly(Vec<u8>, usize);

    impl AsyncRead for Slowly {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let now = self.1.min(self.0.len()).min(buffer.remaining());
            buffer.put_slice(&self.0[..now]);
            self.0.drain(..now);
            Poll::Ready(Ok(()))
        }
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a small one").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// A request as grpc-go sends it, with this authority (compressed where the first bit of its length is set).
    fn request(authority: &[u8]) -> Vec<u8> {
        // POST, a path to be remembered, the authority, a name of its own.
        frame(HEADERS, 4, &[&[0x83, 0x86, 0x44, 2, b'/', b'x', 0x41], authority, &[0x40, 1, b'n', 1, b'v']].concat())
    }

    async fn check(what: &str, sent: &[Vec<u8>], expected: &[Vec<u8>]) {
        for step in [1, 2, 7, 1000] {
            let mut read = Vec::new();
            let mut stream = Lenient::new(Slowly(sent.concat(), step));
            stream.read_to_end(&mut read).await.expect("bytes");
            assert_eq!(read, expected.concat(), "{what}, {step} at a time");
        }
    }

    #[tokio::test]
    async fn a_url_is_mended_and_everything_else_stays() {
        let begin = [PREFACE.to_vec(), frame(4, 0, &[0; 6])].concat();
        let data = frame(0, 1, b"https://stays");
        let plain = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        let (url, mended) = (request(&plain("https://10.0.0.1:2379")), request(&plain("httpsz--10.0.0.1:2379")));
        let right = request(&plain("10.0.0.1:2379"));
        check("a URL", &[begin.clone(), url.clone(), data.clone()], &[begin.clone(), mended.clone(), data.clone()])
            .await;
        check("again", &[begin.clone(), url.clone(), url.clone()], &[begin.clone(), mended.clone(), mended]).await;
        let all = [begin.clone(), right, data, url];
        check("host and port first", &all, &all).await;
        let cut = [begin.clone(), request(&plain("https://10.0.0.1:2379"))[..20].to_vec()];
        check("a header that never ends", &cut, &cut).await;
        let other = [b"GET /health HTTP/1.1\r\nhost: https://h\r\n\r\n".to_vec()];
        check("HTTP/1.1", &other, &other).await;
        let short = [b"PRI * HT".to_vec()];
        check("half a preface", &short, &short).await;
        // http://a and httpz--a, compressed.
        let bits = |mark: u64| (HTTP_BITS.0 << 19 | mark) << 7 | 0b00011_11;
        let compressed = |mark: u64| [&[0x86][..], &bits(mark).to_be_bytes()[2..]].concat();
        let (sent, expected) = (request(&compressed(MARK_BITS.0)), request(&compressed(PUT_BITS)));
        check("compressed", &[begin.clone(), sent], &[begin, expected]).await;
    }

    #[test]
    fn what_is_put_there_is_an_authority() {
        for text in ["httpz--127.0.0.1:2379", "httpsz--[::1]:2379", "httpsz--etcd.example"] {
            assert!(text.parse::<http::uri::Authority>().is_ok(), "{text}");
        }
    }
}
