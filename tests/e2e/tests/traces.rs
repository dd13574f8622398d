//! Traces: one write over two members, seen by a collector that speaks OTLP.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api_proto::etcd::etcdserverpb;
use api_proto::otlp::{ExportTraceServiceRequest, Span, span};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prost::Message;
use serde_json::json;
use tests_e2e::Cluster;
use tokio::net::TcpListener;
use tonic::transport::Endpoint;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";
const PATIENCE: Duration = Duration::from_secs(20);

/// Spans by the member that sent them.
type Collected = Arc<Mutex<Vec<(String, Span)>>>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a collector does with a request.
async fn take(collected: Collected, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_otlp = request.uri().path() == "/v1/traces" && request.headers()["content-type"] == "application/x-protobuf";
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let decoded = ExportTraceServiceRequest::decode(body);
    let (true, Ok(decoded)) = (is_otlp, decoded) else {
        let mut refused = Response::new(Full::default());
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refused);
    };
    for of_resource in decoded.resource_spans {
        let attributes = of_resource.resource.unwrap_or_default().attributes;
        let member = attributes.iter().find(|attribute| attribute.key == "service.instance.id");
        let member = member.map(|attribute| format!("{:?}", attribute.value)).unwrap_or_default();
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collected.lock().expect("no panic").extend(spans.map(|span| (member.clone(), span)));
    }
    Ok(Response::new(Full::default()))
}

/// A collector on a port of its own.
async fn collector() -> Result<(String, Collected)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let collected = Collected::default();
    let shared = collected.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let shared = shared.clone();
            let service = service_fn(move |request| take(shared.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    Ok((endpoint, collected))
}

/// Waits until so many spans have come.
async fn gathered(collected: &Collected, count: usize) -> Result<Vec<(String, Span)>> {
    let begun = Instant::now();
    loop {
        let spans = collected.lock().expect("no panic").clone();
        if spans.len() >= count {
            return Ok(spans);
        }
        ensure!(begun.elapsed() < PATIENCE, "these spans came: {spans:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_followed_from_a_follower_to_the_leader() -> Result<()> {
    let (endpoint, collected) = collector().await?;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("TRIREME_TRACE_SHARE", "0")];
    let cluster = Cluster::with_variables(3, 0, &variables)?;
    let leader = cluster.leader().await?;
    let follower = (leader + 1) % 3;
    let client = cluster.client(follower).await?.with_trace(&format!("00-{TRACE}-{CLIENT}-01"));
    let object = json!({"metadata": {"name": "traced"}});
    client.post("/api/v1/namespaces/default/configmaps", &object).await?.success()?;
    // One that its client does not record.
    let client = cluster.client(follower).await?.with_trace(&format!("00-{}-{CLIENT}-00", "1".repeat(32)));
    client.get("/api/v1/namespaces").await?.success()?;

    let spans = gathered(&collected, 3).await?;
    ensure!(spans.iter().all(|(_, span)| hex(&span.trace_id) == TRACE), "only what is to be traced: {spans:?}");
    let by_name: BTreeMap<&str, &(String, Span)> =
        spans.iter().map(|entry| (entry.1.name.split(' ').next().unwrap_or_default(), entry)).collect();
    let named = |name: &str| by_name.get(name).copied().with_context(|| format!("no span {name} in {spans:?}"));
    let ((at, request), (_, propose), (led_by, commit)) = (named("POST")?, named("propose")?, named("commit")?);
    ensure!(hex(&request.parent_span_id) == CLIENT && request.kind() == span::Kind::Server, "{request:?}");
    ensure!(propose.parent_span_id == request.span_id && commit.parent_span_id == propose.span_id, "{spans:?}");
    ensure!(at.contains(&format!("m{}", follower + 1)) && led_by.contains(&format!("m{}", leader + 1)), "{spans:?}");
    ensure!(request.start_time_unix_nano <= propose.start_time_unix_nano, "{spans:?}");
    ensure!(propose.end_time_unix_nano <= request.end_time_unix_nano, "{spans:?}");
    let said = request.attributes.iter().find(|attribute| attribute.key == "http.response.status_code");
    ensure!(said.is_some_and(|said| format!("{:?}", said.value).contains("201")), "{request:?}");
    Ok(())
}

/// The receiver of the OpenTelemetry collector, in Go; `None`, with the reason printed, where it is not asked for or not to be had.
struct Receiver(Child);

impl Receiver {
    fn start(folder: &Path, address: &str) -> Result<Option<Self>> {
        // It takes a minute to compile.
        if std::env::var_os("TRIREME_TEST_GO").is_none_or(|asked| asked.is_empty()) {
            eprintln!("SKIPPED: TRIREME_TEST_GO does not ask for the OpenTelemetry collector's receiver");
            return Ok(None);
        }
        let program = folder.join("otlp");
        let mut go = Command::new("go");
        go.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".");
        go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/otlp"));
        let built = go.env("GOTOOLCHAIN", "local").output()?;
        if !built.status.success() {
            eprintln!("SKIPPED: no OpenTelemetry collector: {}", String::from_utf8_lossy(&built.stderr));
            return Ok(None);
        }
        Ok(Some(Self(Command::new(program).arg(address).stdout(Stdio::piped()).spawn()?)))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_opentelemetry_collector_takes_what_is_sent() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let Some(mut receiver) = Receiver::start(folder.path(), &address)? else { return Ok(()) };
    let mut lines = BufReader::new(receiver.0.stdout.take().context("a pipe")?).lines();
    ensure!(lines.next().context("the receiver ended")?? == "listening");
    let endpoint = format!("http://{address}");
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("TRIREME_TRACE_SHARE", "0")];
    let cluster = Cluster::with_variables(3, 0, &variables)?;
    let leader = cluster.leader().await?;
    let client = cluster.client((leader + 1) % 3).await?.with_trace(&format!("00-{TRACE}-{CLIENT}-01"));
    let object = json!({"metadata": {"name": "traced"}});
    client.post("/api/v1/namespaces/default/configmaps", &object).await?.success()?;
    let (sender, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut seen = BTreeMap::new();
    while seen.len() < 3 {
        let line = said.recv_timeout(PATIENCE).with_context(|| format!("these spans came: {seen:?}"))?;
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        ensure!(words.len() == 8 && words[1] == "trireme" && words[5] == TRACE, "{line}");
        seen.insert(words[3].clone(), (words[2].clone(), words[6].clone(), words[7].clone()));
    }
    let of = |name: &str| seen.get(name).with_context(|| format!("no span {name} in {seen:?}"));
    let (post, propose, commit) = (of("POST")?, of("propose")?, of("commit")?);
    ensure!(post.2 == CLIENT && propose.2 == post.1 && commit.2 == propose.1, "{seen:?}");
    ensure!(post.0 == format!("m{}", (leader + 1) % 3 + 1) && commit.0 == format!("m{}", leader + 1), "{seen:?}");
    Ok(())
}

/// The same through etcd's API.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_of_an_etcd_client_is_followed_too() -> Result<()> {
    let (endpoint, collected) = collector().await?;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("TRIREME_TRACE_SHARE", "0")];
    let store = Cluster::store_with_variables(3, "http", &variables)?;
    let follower = (store.leader().await? + 1) % 3;
    let channel = Endpoint::from_shared(format!("http://{}", store.etcd(follower)))?.connect().await?;
    let put = etcdserverpb::PutRequest { key: "traced".into(), value: "1".into(), ..Default::default() };
    let mut request = tonic::Request::new(put);
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{CLIENT}-01").parse()?);
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let codec = tonic_prost::ProstCodec::<_, etcdserverpb::PutResponse>::default();
    client.unary(request, PathAndQuery::from_static("/etcdserverpb.KV/Put"), codec).await?;

    let spans = gathered(&collected, 3).await?;
    let named = |name: &str| {
        let found = spans.iter().map(|(_, span)| span).find(|span| span.name == name);
        found.with_context(|| format!("no span {name} in {spans:?}"))
    };
    let (call, propose, commit) = (named("etcdserverpb.KV/Put")?, named("propose")?, named("commit")?);
    ensure!(hex(&call.trace_id) == TRACE && hex(&call.parent_span_id) == CLIENT, "{call:?}");
    ensure!(propose.parent_span_id == call.span_id && commit.parent_span_id == propose.span_id, "{spans:?}");
    Ok(())
}
