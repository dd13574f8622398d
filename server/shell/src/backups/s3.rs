//! A bucket of backups in an S3-compatible store. `rusty_s3` signs and reads; the requests are sent from here.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming as Body;
use rusty_s3::actions::{CompleteMultipartUploadResponse, CreateMultipartUpload, ListObjectsV2};
use rusty_s3::{Credentials, S3Action, UrlStyle};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::S3Args;
use super::place::{CHUNKS_AHEAD, Found, Incoming, Outgoing};
use crate::web::{self, Web};

/// How long a signed request is good for: clocks differ a little.
const SIGNED_FOR: Duration = Duration::from_secs(900);
/// What is sent at a time; a backup that is smaller goes in one request. 10,000 parts are the most that S3 takes.
const PART_BYTES: usize = 16 << 20;
const PARTS_MAX: usize = 10_000;

/// See the module.
pub struct Bucket {
    bucket: rusty_s3::Bucket,
    prefix: String,
    credentials: Credentials,
    web: Web,
}

impl Bucket {
    pub(super) fn new(name: &str, prefix: &str, args: &S3Args) -> Result<Self> {
        let credentials =
            Credentials::from_env().context("s3:// needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to be set")?;
        // Amazon wants the bucket in the host's name; others seldom have names for their buckets, nor has TLS for dots.
        let (endpoint, style) = match &args.s3_endpoint {
            Some(url) => (url.clone(), UrlStyle::Path),
            None if name.contains('.') => (format!("https://s3.{}.amazonaws.com", args.s3_region), UrlStyle::Path),
            None => (format!("https://s3.{}.amazonaws.com", args.s3_region), UrlStyle::VirtualHost),
        };
        let endpoint: Url = endpoint.parse().with_context(|| format!("{endpoint} is no URL"))?;
        let bucket = rusty_s3::Bucket::new(endpoint, style, name.to_owned(), args.s3_region.clone())?;
        let web = Web::new(args.s3_ca.as_deref())?;
        Ok(Self { bucket, prefix: prefix.to_owned(), credentials, web })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) async fn list(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut action = self.bucket.list_objects_v2(Some(&self.credentials));
            action.with_prefix(self.prefix.as_str());
            // What lies deeper is not ours.
            action.with_delimiter("/");
            if let Some(token) = &token {
                action.with_continuation_token(token.as_str());
            }
            let answer = self.call(Method::GET, action.sign(SIGNED_FOR), Bytes::new()).await.context("listing")?;
            let answer = web::body(answer).await?;
            let page = ListObjectsV2::parse_response(std::str::from_utf8(&answer)?).context("reading a list")?;
            found.extend(page.contents.into_iter().filter_map(|object| {
                let name = object.key.strip_prefix(&self.prefix)?.to_owned();
                Some(Found { name, bytes: object.size.unwrap_or_default() })
            }));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    pub(super) async fn put(&self, name: &str, mut chunks: Outgoing) -> Result<()> {
        let key = self.key(name);
        let first = part(&mut chunks).await;
        if first.len() < PART_BYTES {
            let url = self.bucket.put_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
            return self.call(Method::PUT, url, first).await.map(drop);
        }
        let url = self.bucket.create_multipart_upload(Some(&self.credentials), &key).sign(SIGNED_FOR);
        let answer = web::body(self.call(Method::POST, url, Bytes::new()).await?).await?;
        let upload = CreateMultipartUpload::parse_response(std::str::from_utf8(&answer)?)?;
        let sent = self.parts(&key, upload.upload_id(), first, &mut chunks).await;
        if sent.is_err() {
            let url = self.bucket.abort_multipart_upload(Some(&self.credentials), &key, upload.upload_id());
            // What is left of it then, the store's own rule for broken uploads removes.
            let _ = self.call(Method::DELETE, url.sign(SIGNED_FOR), Bytes::new()).await;
        }
        sent
    }

    /// Sends part after part, and then has them made one object.
    async fn parts(&self, key: &str, upload: &str, first: Bytes, chunks: &mut Outgoing) -> Result<()> {
        let mut tags: Vec<String> = Vec::new();
        let mut next = first;
        while !next.is_empty() {
            ensure!(tags.len() < PARTS_MAX, "it is larger than the store takes");
            let number = u16::try_from(tags.len() + 1).context("too many parts")?;
            let url = self.bucket.upload_part(Some(&self.credentials), key, number, upload).sign(SIGNED_FOR);
            let answer = self.call(Method::PUT, url, next).await.with_context(|| format!("part {number}"))?;
            let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
            tags.push(tag.context("the store gave a part no tag")?.to_owned());
            next = part(chunks).await;
        }
        let tags = tags.iter().map(String::as_str);
        let action = self.bucket.complete_multipart_upload(Some(&self.credentials), key, upload, tags);
        let url = action.sign(SIGNED_FOR);
        let answer = web::body(self.call(Method::POST, url, action.body().into()).await?).await?;
        // This call alone may fail behind a good status.
        let text = std::str::from_utf8(&answer)?;
        CompleteMultipartUploadResponse::parse(text).map_err(|_| anyhow!("joining the parts: {}", complaint(text)))?;
        Ok(())
    }

    pub(super) async fn get(&self, name: &str) -> Result<Incoming> {
        let url = self.bucket.get_object(Some(&self.credentials), &self.key(name)).sign(SIGNED_FOR);
        let response = self.call(Method::GET, url, Bytes::new()).await?;
        let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
        tokio::spawn(forward(response.into_body(), send));
        Ok(receive)
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        let url = self.bucket.delete_object(Some(&self.credentials), &self.key(name)).sign(SIGNED_FOR);
        self.call(Method::DELETE, url, Bytes::new()).await.map(drop)
    }

    /// Sends a signed request; an answer that is no success is an error with what the store said.
    async fn call(&self, method: Method, url: Url, body: Bytes) -> Result<Response<Body>> {
        let request = Request::builder().method(method).uri(url.as_str()).body(Full::new(body))?;
        let response = self.web.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let said = web::body(response).await.unwrap_or_default();
        bail!("{status}: {}", complaint(&String::from_utf8_lossy(&said)))
    }
}

/// Chunks until they are a part, or all of the rest.
async fn part(chunks: &mut Outgoing) -> Bytes {
    let mut part = BytesMut::new();
    while part.len() < PART_BYTES {
        match chunks.recv().await {
            Some(chunk) => part.extend_from_slice(&chunk),
            None => break,
        }
    }
    part.freeze()
}

/// Passes a body on, piece by piece; one that breaks off ends in an error, never in silence.
async fn forward(mut body: Body, send: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let piece = match timeout(web::ANSWER_LIMIT, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the store went silent")),
        };
        let is_over = piece.is_err();
        if send.send(piece).await.is_err() || is_over {
            return;
        }
    }
}

/// What a store's XML says is wrong: `<Code>` and `<Message>`.
fn complaint(xml: &str) -> String {
    let inside = |name: &str| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    };
    match (inside("Code"), inside("Message")) {
        (Some(code), Some(message)) if !message.is_empty() => format!("{code}: {message}"),
        (Some(code), _) => code.to_owned(),
        _ => xml.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stores_complaint_is_told_in_its_words() {
        let check = |xml: &str, expected: &str| assert_eq!(complaint(xml), expected);
        check(
            "<Error><Code>NoSuchBucket</Code><Message>It is not there</Message></Error>",
            "NoSuchBucket: It is not there",
        );
        check("<Error><Code>AccessDenied</Code><Message></Message></Error>", "AccessDenied");
        check("<html>gateway</html>", "<html>gateway</html>");
        check("", "");
    }
}
