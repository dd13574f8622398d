//! What a client accepts: in which form an answer is to be, and in which encoding.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::Status;
use crate::query::Query;
use crate::table::{Form, Include};

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/json`
    Json,
    /// `application/yaml`: the same bytes, for JSON is YAML.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

/// Encodings in the order in which a wildcard takes them.
const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Yaml, Encoding::Protobuf];

/// What a client wants of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) form: Form,
    pub(crate) encoding: Encoding,
}

/// One clause of an Accept header.
struct Clause<'a> {
    media: (&'a str, &'a str),
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Encoding {
    /// `application/json`
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    fn subtype(self) -> &'static str {
        &self.media_type()["application/".len()..]
    }
}

impl Wanted {
    /// Reads an Accept header as Kubernetes does: clauses by quality, then those without wildcards first; of the first
    /// clause that can be served the first encoding.
    pub(crate) fn of(accept: &str, query: &Query, watches: bool) -> Result<Self, Status> {
        if accept.trim().is_empty() {
            return Ok(Self { form: Form::Plain, encoding: Encoding::Json });
        }
        let found = clauses(accept).into_iter().find_map(|clause| {
            let (main, sub) = clause.media;
            let encoding = ENCODINGS.into_iter().find(|encoding| {
                let named = main == "application" && (sub == encoding.subtype() || sub == "*");
                (named || (main, sub) == ("*", "*"))
                    && form(&clause, *encoding, query).is_some()
                    && (!watches || *encoding != Encoding::Yaml)
            })?;
            Some(Self { form: form(&clause, encoding, query)?, encoding })
        });
        found.ok_or_else(Status::not_acceptable)
    }
}

/// The clauses of a header, best first. What is no media type is passed over.
fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = Vec::new();
    for clause in accept.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let media = match parts.next().unwrap_or_default() {
            "*" => ("*", "*"),
            media => match media.split_once('/') {
                Some((main, sub)) if !sub.contains('/') => (main, sub),
                _ => continue,
            },
        };
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let quality = parameters.iter().find(|(name, _)| *name == "q");
        let quality = quality.map_or(1.0, |(_, value)| value.parse().unwrap_or(0.0));
        clauses.push(Clause { media, quality, parameters });
    }
    let wild = |clause: &Clause<'_>| (clause.media.0 == "*", clause.media.1 == "*");
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then_with(|| wild(a).cmp(&wild(b))));
    clauses
}

/// The form that a clause asks for; `None` for one that is not served in the encoding.
fn form(clause: &Clause<'_>, encoding: Encoding, query: &Query) -> Option<Form> {
    let value = |wanted: &str| clause.parameters.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    if value("stream").is_some_and(|stream| stream != "watch" || encoding == Encoding::Yaml) {
        return None;
    }
    let Some(kind) = value("as") else { return Some(Form::Plain) };
    if value("g") != Some("meta.k8s.io") || value("v") != Some("v1") {
        return None;
    }
    match kind {
        "Table" if encoding != Encoding::Protobuf => {
            let include = match query.include_object.as_deref() {
                Some("None") => Include::None,
                Some("Object") => Include::Object,
                _ => Include::Metadata,
            };
            Some(Form::Table { include })
        }
        "PartialObjectMetadata" => Some(Form::Metadata),
        "PartialObjectMetadataList" => Some(Form::MetadataList),
        _ => None,
    }
}

/// Puts an answer that was made in JSON into the encoding that is wanted. Streams, and types that protobuf does not know,
/// stay as they are: verbs that stream write their encoding themselves.
pub(crate) async fn encoded(encoding: Encoding, response: Response) -> Response {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if encoding == Encoding::Json || !is_json || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Status::internal("an answer that was whole has an end").into_response();
    };
    let bytes = match encoding {
        Encoding::Protobuf => {
            let object: Option<Value> = serde_json::from_slice(&body).ok();
            object.and_then(|object| api_schema::protobuf::encode(&object)).map(bytes::Bytes::from)
        }
        _ => Some(body.clone()),
    };
    if bytes.is_some() {
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
        head.headers.remove(header::CONTENT_LENGTH);
    }
    Response::from_parts(head, Body::from(bytes.unwrap_or(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_clause_that_is_served_is_taken() {
        let check = |accept: &str, expected: Option<(Form, Encoding)>| {
            let found = Wanted::of(accept, &Query::default(), false).ok().map(|wanted| (wanted.form, wanted.encoding));
            assert_eq!(found, expected, "{accept}");
        };
        let table = Form::Table { include: Include::Metadata };
        check("", Some((Form::Plain, Encoding::Json)));
        check("application/json", Some((Form::Plain, Encoding::Json)));
        check("application/yaml", Some((Form::Plain, Encoding::Yaml)));
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Some((table, Encoding::Json)),
        );
        check(
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Some((Form::Plain, Encoding::Json)),
        );
        check("application/vnd.kubernetes.protobuf,application/json", Some((Form::Plain, Encoding::Protobuf)));
        check("application/vnd.kubernetes.protobuf;stream=watch", Some((Form::Plain, Encoding::Protobuf)));
        check(
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Some((Form::MetadataList, Encoding::Json)),
        );
        check("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1", None);
        check("application/json;as=Table", None);
        check("application/cbor,application/json", Some((Form::Plain, Encoding::Json)));
        check("application/cbor", None);
        check("text/html, */*;q=0.8", Some((Form::Plain, Encoding::Json)));
        check("*/*,application/yaml", Some((Form::Plain, Encoding::Yaml)));
        check("application/json;q=0.5,application/yaml;q=0.9", Some((Form::Plain, Encoding::Yaml)));
        check("application/*", Some((Form::Plain, Encoding::Json)));
        check("*/*", Some((Form::Plain, Encoding::Json)));
        assert!(Wanted::of("application/yaml", &Query::default(), true).is_err(), "there are no streams of YAML");
    }
}
