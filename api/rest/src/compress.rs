//! gzip of long answers, for clients that can read it (KEP-156: from 128 KiB on, as fast as it goes).

use std::io::Write;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::{HeaderValue, header};
use http_body::Body as _;
use http_body_util::BodyExt;

/// Shorter answers are sent as they are.
const BYTES_MIN: u64 = 128 * 1024;

/// Marks an answer that comes in pieces and has an end. Watches have none, and are never compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Long;

/// Whether an Accept-Encoding header names gzip.
pub(crate) fn wanted(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(|q| q == "q=0")
    })
}

/// Compresses an answer that is long enough.
pub(crate) fn answer(response: Response) -> Response {
    let is_long = response.extensions().get::<Long>().is_some()
        || response.body().size_hint().exact().is_some_and(|bytes| bytes > BYTES_MIN);
    if !is_long || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from_stream(compressed(body)))
}

/// Pieces of a body, each compressed as it comes.
fn compressed(body: Body) -> impl stream::Stream<Item = Result<Bytes, axum::Error>> {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    stream::unfold((body, Some(encoder)), |(mut body, encoder)| async move {
        let mut encoder = encoder?;
        loop {
            match body.frame().await {
                Some(Err(error)) => return Some((Err(error), (body, None))),
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    if let Err(error) = write(&mut encoder, &data) {
                        return Some((Err(error), (body, None)));
                    }
                    let ready = std::mem::take(encoder.get_mut());
                    if !ready.is_empty() {
                        return Some((Ok(ready.into()), (body, Some(encoder))));
                    }
                }
                None => {
                    let last = encoder.finish().map(Bytes::from).map_err(axum::Error::new);
                    return Some((last, (body, None)));
                }
            }
        }
    })
}

fn write(encoder: &mut GzEncoder<Vec<u8>>, data: &[u8]) -> Result<(), axum::Error> {
    encoder.write_all(data).map_err(axum::Error::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_name_it() {
        for (header, expected) in [
            ("", false),
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("br", false),
            ("*", false),
        ] {
            assert_eq!(wanted(header), expected, "{header}");
        }
    }
}
