//! The API of one member.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use raft_state::port::Store;

use crate::context::Context;
use crate::negotiate::{Encoding, Wanted};
use crate::query::Query;
use crate::route::Resource;
use crate::{Config, Identity, Status, authz, discovery, health, negotiate, openapi, review, sub, verbs};

/// The API over a store. One a process.
pub struct Api {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
}

/// The largest body, as kube-apiserver's.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A request's body with what it says of itself.
pub(crate) struct Incoming {
    pub(crate) content_type: String,
    pub(crate) bytes: bytes::Bytes,
}

impl Api {
    /// The API over a store.
    pub fn new(store: Arc<dyn Store>, config: Config) -> Arc<Self> {
        Arc::new(Self { store, config })
    }

    /// All routes. Requests carry the client's [`Identity`] as an extension; without one they are anonymous.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(self)
    }

    pub(crate) fn now_us(&self) -> i64 {
        (self.config.now_us)()
    }
}

async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(answer) = health::answer(&api, &path, request.uri().query().unwrap_or_default()) {
        return answer;
    }
    let Some(identity) = request.extensions().get::<Identity>().cloned() else {
        return Status::unauthorized().into_response();
    };
    let accept = header_text(&request, header::ACCEPT);
    let encoding = Wanted::of(&accept, &Query::default(), false).map_or(Encoding::Json, |wanted| wanted.encoding);
    let response = dispatch(api, identity, &path, &accept, request).await.unwrap_or_else(Status::into_response);
    negotiate::encoded(encoding, response).await
}

async fn dispatch(
    api: Arc<Api>,
    identity: Identity,
    path: &str,
    accept: &str,
    request: Request,
) -> Result<Response, Status> {
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    if request.method() == Method::GET
        && let Some(answer) = document(path, accept, &request)
    {
        return answer;
    }
    let Some(resource) = Resource::parse(path) else { return Err(Status::no_such_path()) };
    if request.method() == Method::POST && review::serves(&resource) {
        let body = body(request).await?;
        return review::answer(&identity, &resource, &body);
    }
    let kind = resource.kind().ok_or_else(Status::no_such_path)?;
    if !resource.namespace.is_empty() && !kind.namespaced() {
        return Err(Status::no_such_path());
    }
    let verb = verb(request.method(), &resource, &query)?;
    let wanted = Wanted::of(accept, &query, verb == "watch")?;
    let form = wanted.form;
    let authorized = authz::of(verb, kind, resource.subresource, resource.namespace, resource.name);
    authz::check(&identity, authorized)?;
    verbs::write_options::check(verb, &query)?;
    let user_agent = header_text(&request, header::USER_AGENT);
    let default_manager = user_agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
    let timeout = query.timeout.map_or(api.config.request_timeout, |t| t.min(api.config.request_timeout));
    let context = Context {
        identity,
        kind,
        namespace: resource.namespace.to_owned(),
        deadline: Instant::now() + timeout,
        dry_run: query.dry_run(),
        epoch: None,
        manager: query.field_manager.clone().unwrap_or_else(|| default_manager.chars().take(128).collect()),
        validation: query.field_validation,
        trusted: false,
    };
    let name = resource.name.to_owned();
    if !resource.subresource.is_empty() {
        let subresource = resource.subresource.to_owned();
        let method = request.method().clone();
        let body = body(request).await?;
        return sub::serve(&api, context, &method, &name, &subresource, &query, &body).await;
    }
    match verb {
        "get" => verbs::get::serve(&api, &context, &name, &query, wanted).await,
        "list" => verbs::list::serve(&api, &context, &query, wanted).await,
        "watch" => verbs::watch::serve(api, context, &name, &query, wanted).await,
        "create" => verbs::create::serve(&api, &context, &body(request).await?, form).await,
        "update" => verbs::update::serve(&api, &context, &name, &body(request).await?, form).await,
        "patch" => verbs::patch::serve(&api, &context, &name, "", &query, &body(request).await?, form).await,
        "delete" => verbs::delete::serve(&api, &context, &name, &query, &body(request).await?).await,
        _ => verbs::delete_collection::serve(&api, &context, &query, &body(request).await?).await,
    }
}

/// Documents about the API itself.
fn document(path: &str, accept: &str, request: &Request) -> Option<Result<Response, Status>> {
    if let Some(found) = discovery::serve(path, accept) {
        return Some(Ok(found));
    }
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    openapi::serve(path, accept, known)
}

fn verb(method: &Method, resource: &Resource<'_>, query: &Query) -> Result<&'static str, Status> {
    let single = !resource.name.is_empty();
    Ok(match *method {
        Method::GET | Method::HEAD if resource.watch || (query.watch && resource.subresource.is_empty()) => "watch",
        Method::GET | Method::HEAD if single => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST if single != resource.subresource.is_empty() => "create",
        Method::PUT if single => "update",
        Method::PATCH if single => "patch",
        Method::DELETE if single => "delete",
        Method::DELETE => "deletecollection",
        _ => return Err(Status::method_not_allowed()),
    })
}

fn header_text(request: &Request, name: header::HeaderName) -> String {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

async fn body(request: Request) -> Result<Incoming, Status> {
    let content_type = header_text(&request, header::CONTENT_TYPE);
    let content_type = content_type.split(';').next().unwrap_or_default().trim().to_owned();
    let bytes = match axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(error) if error.to_string().contains("length limit exceeded") => {
            return Err(Status::too_large(BODY_BYTES_MAX));
        }
        Err(error) => return Err(Status::bad_request(format!("cannot read the body: {error}"))),
    };
    Ok(Incoming { content_type, bytes })
}

/// A JSON answer, with warnings for the client.
pub(crate) fn json(code: StatusCode, body: impl Into<Body>, warnings: &[String]) -> Response {
    typed(code, "application/json", body, warnings)
}

/// An answer of a media type.
pub(crate) fn typed(
    code: StatusCode,
    media_type: &'static str,
    body: impl Into<Body>,
    warnings: &[String],
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    for warning in warnings {
        let text = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(header::WARNING, value);
        }
    }
    response
}
