//! The API of one member.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use api_kinds::Kind;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use raft_state::port::{Store, WatchError};

use crate::context::Context;
use crate::negotiate::{Encoding, Wanted};
use crate::query::Query;
use crate::route::Resource;
use crate::token::{self, authenticate};
use crate::verbs::watch_socket;
use crate::{
    Config, Identity, Metrics, Status, authz, bootstrap, compress, discovery, health, negotiate, openapi, review, sub,
    verbs,
};

/// The API over a store. One a process.
pub struct Api {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    /// What every cluster has was there once: what is deleted later makes nobody unready.
    bootstrapped: AtomicBool,
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
        Arc::new(Self { store, config, metrics: Arc::default(), bootstrapped: AtomicBool::new(false) })
    }

    /// All routes. Requests carry the client's [`Identity`] as an extension; without one they are anonymous.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(counted).with_state(self)
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether the cluster has what a first client counts on. Until then this member is not ready.
    pub(crate) fn is_bootstrapped(&self) -> bool {
        if !self.bootstrapped.load(Ordering::Relaxed) && bootstrap::is_done(&self.store.snapshot()) {
            self.bootstrapped.store(true, Ordering::Relaxed);
        }
        self.bootstrapped.load(Ordering::Relaxed)
    }

    /// Waits until this member serves, all that `/readyz` asks for; for ever when the store is closed before that.
    pub async fn ready(&self) {
        loop {
            let seen = self.store.snapshot().revision();
            if self.is_bootstrapped() {
                break;
            }
            // The rest comes with a write; a watch that cannot go on begins again, at what is there by then.
            let Ok(mut cursor) = self.store.watch(b"", seen) else { return std::future::pending().await };
            if let Err(WatchError::Stopping(_)) = cursor.next(1).await {
                return std::future::pending().await;
            }
        }
        if self.store.standing().wait_for(|standing| standing.ready).await.is_err() {
            std::future::pending().await
        }
    }

    pub(crate) fn now_us(&self) -> i64 {
        (self.config.now_us)()
    }
}

/// Serves a request and counts it.
async fn counted(State(api): State<Arc<Api>>, request: Request) -> Response {
    let counted = api.metrics.begin(request.method(), request.uri());
    let response = serve(State(api.clone()), request).await;
    counted.end(&response);
    response
}

async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(answer) = health::answer(&api, &path, request.uri().query().unwrap_or_default()) {
        return answer;
    }
    let identity = match request.extensions().get::<Identity>() {
        Some(identity) => Some(identity.clone()),
        None => bearer(&api, header_text(&request, header::AUTHORIZATION)).await,
    };
    let Some(identity) = identity else {
        return Status::unauthorized().into_response();
    };
    let accept = header_text(&request, header::ACCEPT);
    let encoding = Wanted::of(&accept, &Query::default(), false).map_or(Encoding::Json, |wanted| wanted.encoding);
    let compresses = compress::wanted(&header_text(&request, header::ACCEPT_ENCODING));
    let response = dispatch(api, identity, &path, &accept, request).await.unwrap_or_else(Status::into_response);
    let response = negotiate::encoded(encoding, response).await;
    if compresses { compress::answer(response) } else { response }
}

/// For routes beside the API's own: a bearer token says who asks where the connection has no certificate.
pub async fn identified(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    if request.extensions().get::<Identity>().is_none() {
        let header = header_text(&request, header::AUTHORIZATION);
        if let Some(identity) = bearer(&api, header).await {
            request.extensions_mut().insert(identity);
        }
    }
    next.run(request).await
}

/// Who bears the token of an Authorization header, where the connection has no certificate.
async fn bearer(api: &Api, header: String) -> Option<Identity> {
    let (scheme, token) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let deadline = Instant::now() + api.config.request_timeout;
    match authenticate::bearer(api, token.trim(), &[], deadline).await {
        Ok((identity, _)) => Some(identity),
        Err(why) => {
            tracing::debug!(%why, "a token was not accepted");
            None
        }
    }
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
        && let Some(answer) = document(&api, path, accept, &request)
    {
        return answer;
    }
    let Some(resource) = Resource::parse(path).filter(|resource| discovery::knows(resource.group)) else {
        return Ok((StatusCode::NOT_FOUND, "404 page not found\n").into_response());
    };
    if review::serves(&resource) {
        if request.method() != Method::POST {
            return Err(Status::method_not_allowed());
        }
        let body = body(request).await?;
        return review::answer(&api, &identity, &resource, &body).await;
    }
    let kind = resource.kind().ok_or_else(Status::no_such_path)?;
    if !resource.namespace.is_empty() && !kind.namespaced() {
        return Err(Status::no_such_path());
    }
    let verb = verb(request.method(), &resource, &query)?;
    if resource.subresource.is_empty() && !kind.verbs.contains(&verb) {
        return Err(Status::method_not_allowed());
    }
    let wanted = Wanted::of(accept, &query, verb == "watch")?;
    let form = wanted.form;
    form.check(&query)?;
    let authorized = authz::of(verb, kind, resource.subresource, resource.namespace, resource.name);
    authz::check(&identity, authorized)?;
    verbs::write_options::check(verb, &query)?;
    let context = context(&api, identity, kind, resource.namespace, &query, &header_text(&request, header::USER_AGENT));
    let name = resource.name.to_owned();
    if !resource.subresource.is_empty() {
        let subresource = resource.subresource.to_owned();
        let method = request.method().clone();
        let body = body(request).await?;
        return sub::serve(&api, context, &method, &name, &subresource, &query, &body).await;
    }
    let answer = match verb {
        "get" => verbs::get::serve(&api, &context, &name, &query, wanted).await,
        "list" => verbs::list::serve(&api, &context, &query, wanted).await,
        "watch" if watch_socket::wanted(&request) => {
            watch_socket::serve(api, context, &name, &query, wanted, request).await
        }
        "watch" => verbs::watch::serve(&api, &context, &name, &query, wanted).await,
        "create" => verbs::create::serve(&api, &context, &body(request).await?, form).await,
        "update" => verbs::update::serve(&api, &context, &name, &body(request).await?, form).await,
        "patch" => verbs::patch::serve(&api, &context, &name, "", &query, &body(request).await?, form).await,
        "delete" => verbs::delete::serve(&api, &context, &name, &query, &body(request).await?).await,
        _ => verbs::delete_collection::serve(&api, &context, &query, &body(request).await?).await,
    };
    answer.map(|answer| warned(answer, kind.warning))
}

/// An answer with what clients of its kind are to know.
fn warned(mut answer: Response, warning: Option<&str>) -> Response {
    if let Some(value) = warning.and_then(warning_header) {
        answer.headers_mut().append(header::WARNING, value);
    }
    answer
}

fn warning_header(warning: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""))).ok()
}

fn context(
    api: &Api,
    identity: Identity,
    kind: &'static Kind,
    namespace: &str,
    query: &Query,
    user_agent: &str,
) -> Context {
    let default_manager = user_agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
    let timeout = query.timeout.map_or(api.config.request_timeout, |t| t.min(api.config.request_timeout));
    Context {
        identity,
        kind,
        namespace: namespace.to_owned(),
        deadline: Instant::now() + timeout,
        dry_run: query.dry_run(),
        epoch: None,
        manager: query.field_manager.clone().unwrap_or_else(|| default_manager.chars().take(128).collect()),
        validation: query.field_validation,
        trusted: false,
    }
}

/// Documents about the API itself.
fn document(api: &Api, path: &str, accept: &str, request: &Request) -> Option<Result<Response, Status>> {
    if let Some(found) = discovery::serve(path, accept) {
        return Some(Ok(found));
    }
    if let Some((found, media_type)) = token::discovery::document(&*api.config.tokens, path) {
        return Some(Ok(typed(StatusCode::OK, media_type, found.to_string(), &[])));
    }
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    openapi::serve(path, request.uri().query().unwrap_or_default(), accept, known)
}

fn verb(method: &Method, resource: &Resource<'_>, query: &Query) -> Result<&'static str, Status> {
    let single = !resource.name.is_empty();
    Ok(match *method {
        Method::GET if resource.watch || (query.watch && resource.subresource.is_empty()) => "watch",
        Method::GET if single => "get",
        Method::GET => "list",
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
        if let Some(value) = warning_header(warning) {
            headers.append(header::WARNING, value);
        }
    }
    response
}
