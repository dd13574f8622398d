//! GET of many objects: the stored bytes between commas.

use std::sync::Arc;

use api_schema::protobuf;
use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http::StatusCode;
use raft_state::port::{ReadError, ReadLevel};
use raft_state::{Entry, Snapshot};
use serde_json::{Value, json};

use super::get::fresh;
use super::list_options;
use crate::api::{json as respond, typed};
use crate::context::Context;
use crate::forms::{Filter, json as json_of, message};
use crate::negotiate::{Encoding, Wanted};
use crate::object::decode;
use crate::query::Query;
use crate::table::{Form, partial, row, table};
use crate::{Api, Status, compress};

/// Bodies are sent in pieces of about this size.
const CHUNK_BYTES: usize = 256 * 1024;

/// The revision of a token that goes on with whatever is there.
const NEWEST: u64 = 0;

/// Where a list goes on: its revision, and the last key sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Continue {
    revision: u64,
    after: String,
}

impl Continue {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!({"v": "trireme/1", "rv": self.revision, "after": self.after}).to_string())
    }

    fn decode(token: &str) -> Result<Self, Status> {
        let parsed = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let read = parsed.and_then(|value| {
            (value["v"] == "trireme/1").then_some(())?;
            Some(Self { revision: value["rv"].as_u64()?, after: value["after"].as_str()?.to_owned() })
        });
        read.ok_or_else(|| {
            Status::bad_request("invalid continue token: continue key is not valid: it is not one of this cluster's")
        })
    }
}

/// A page of a list.
pub(crate) struct Page {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) revision: u64,
    next: Option<String>,
    remaining: Option<usize>,
}

pub(crate) async fn serve(api: &Api, context: &Context, query: &Query, wanted: Wanted) -> Result<Response, Status> {
    let filter = Filter::parse(context.kind, query.label_selector.as_deref(), query.field_selector.as_deref())?;
    if wanted.form == Form::Metadata {
        return Err(Status::no_such_form("PartialObjectMetadata", "a list", context.kind, "List"));
    }
    let page = page(api, context, query, &filter).await?;
    match (wanted.form, wanted.encoding) {
        (Form::Plain, Encoding::Protobuf) => Ok(in_protobuf(context, page).await),
        (Form::Plain, _) => Ok(plain(context, page)),
        (form, _) => shaped(api, context, page, form),
    }
}

/// Objects are encoded a few at a time, so that a first list of many holds nobody up.
const ENCODED_AT_ONCE: usize = 64;

async fn in_protobuf(context: &Context, page: Page) -> Response {
    let kind = context.kind;
    let head = protobuf::list_head(&list_metadata(&page));
    let mut messages = Vec::with_capacity(page.entries.len());
    for some in page.entries.chunks(ENCODED_AT_ONCE) {
        messages.extend(some.iter().map(|entry| message(kind, entry)));
        tokio::task::yield_now().await;
    }
    let length: usize =
        head.len() + messages.iter().map(|m| protobuf::list_item(m.len()).len() + m.len()).sum::<usize>();
    let mut first = protobuf::envelope(&kind.api_version(), &kind.list_kind(), length);
    first.extend_from_slice(&head);
    let chunks = stream::unfold((messages.into_iter(), Some(first)), |(mut messages, head)| async move {
        let mut chunk = BytesMut::from(&head.unwrap_or_default()[..]);
        while chunk.len() < CHUNK_BYTES {
            let Some(message) = messages.next() else { break };
            chunk.put_slice(&protobuf::list_item(message.len()));
            chunk.put_slice(&message);
        }
        let piece = (!chunk.is_empty()).then(|| Ok::<Bytes, std::convert::Infallible>(chunk.freeze()))?;
        Some((piece, (messages, None)))
    });
    let response = typed(StatusCode::OK, Encoding::Protobuf.media_type(), Body::from_stream(chunks), &[]);
    if length > CHUNK_BYTES { long(response) } else { response }
}

fn long(mut response: Response) -> Response {
    response.extensions_mut().insert(compress::Long);
    response
}

/// Reads a page.
pub(crate) async fn page(api: &Api, context: &Context, query: &Query, filter: &Filter) -> Result<Page, Status> {
    list_options::check(query, false)?;
    if query.continue_token.is_some() && query.resource_version.as_deref().is_some_and(|version| version != "0") {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    let resumed = query.continue_token.as_deref().map(Continue::decode).transpose()?;
    let snapshot = match &resumed {
        Some(token) => at(api, context, token).await?,
        None => fresh(api, context, query).await?,
    };
    let prefix = context.prefix();
    let after = resumed.as_ref().map(|token| token.after.as_bytes());
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let mut entries = Vec::new();
    let mut more = false;
    for entry in snapshot.range(prefix.as_bytes(), after).filter(|entry| filter.selects(context.kind, entry)) {
        if entries.len() == limit {
            more = true;
            break;
        }
        entries.push(entry.clone());
    }
    let last = entries.last().map(|entry| String::from_utf8_lossy(&entry.key).into_owned()).filter(|_| more);
    let remaining = last
        .as_ref()
        .filter(|_| filter.is_empty())
        .map(|last| snapshot.range(prefix.as_bytes(), Some(last.as_bytes())).count());
    let next = last.map(|after| Continue { revision: snapshot.revision(), after }.encode());
    Ok(Page { entries, revision: snapshot.revision(), next, remaining })
}

async fn at(api: &Api, context: &Context, token: &Continue) -> Result<Snapshot, Status> {
    let level = if token.revision == NEWEST { ReadLevel::Linearizable } else { ReadLevel::Exact(token.revision) };
    match api.store.read(level, context.deadline).await {
        Ok(snapshot) => Ok(snapshot),
        Err(ReadError::Compacted { .. }) => {
            Err(Status::token_expired(Continue { revision: NEWEST, after: token.after.clone() }.encode()))
        }
        Err(error) => Err(Status::reading(&error, Some(token.revision))),
    }
}

fn list_metadata(page: &Page) -> Value {
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if let Some(next) = &page.next {
        metadata["continue"] = next.clone().into();
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

fn plain(context: &Context, page: Page) -> Response {
    let kind = context.kind;
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[",
        kind.list_kind(),
        kind.api_version(),
        list_metadata(&page)
    );
    let objects: Vec<Bytes> = page.entries.iter().map(|entry| json_of(kind, entry)).collect();
    let total: usize = head.len() + 3 + objects.iter().map(|object| object.len() + 1).sum::<usize>();
    if total <= CHUNK_BYTES {
        let mut body = BytesMut::with_capacity(total);
        body.put_slice(head.as_bytes());
        join(&mut body, &objects, true);
        body.put_slice(b"]}\n");
        return respond(StatusCode::OK, body.freeze(), &[]);
    }
    // Pieces are made as the client takes them: a long list is never in memory twice.
    let chunks = stream::unfold((objects.into_iter(), Some(head), true), |(mut objects, head, first)| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES + 4096);
        if let Some(head) = head {
            chunk.put_slice(head.as_bytes());
        } else if objects.len() == 0 {
            return None;
        }
        let mut first = first;
        while chunk.len() < CHUNK_BYTES {
            let Some(object) = objects.next() else { break };
            join(&mut chunk, std::slice::from_ref(&object), first);
            first = false;
        }
        if objects.len() == 0 {
            chunk.put_slice(b"]}\n");
        }
        Some((Ok::<Bytes, std::convert::Infallible>(chunk.freeze()), (objects, None, first)))
    });
    long(respond(StatusCode::OK, Body::from_stream(chunks), &[]))
}

fn join(into: &mut BytesMut, objects: &[Bytes], mut first: bool) {
    for object in objects {
        if !first {
            into.put_u8(b',');
        }
        first = false;
        into.put_slice(object);
    }
}

fn shaped(api: &Api, context: &Context, page: Page, form: Form) -> Result<Response, Status> {
    let now_us = api.now_us();
    let metadata = list_metadata(&page);
    let mut items = Vec::with_capacity(page.entries.len());
    for entry in &page.entries {
        let object = decode(context.kind, entry)?;
        items.push(match form {
            Form::Table { include } => row(context.kind, object, include, now_us),
            _ => partial(object),
        });
    }
    let body = match form {
        Form::Table { .. } => table(context.kind, items, metadata, true),
        _ => {
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
        }
    };
    Ok(respond(StatusCode::OK, body.to_string(), &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_another_is_refused() {
        let token = Continue { revision: 7, after: "/registry/core/pods/default/a".to_owned() };
        assert_eq!(Continue::decode(&token.encode()).unwrap(), token);
        assert!(Continue::decode("rubbish").is_err());
    }
}
