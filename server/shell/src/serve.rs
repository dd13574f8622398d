//! The API port: TLS, HTTP/1.1 and HTTP/2 on one listener, with the client's identity on every request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// A client that does not finish its handshake within this is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long requests in flight may go on once the server is told to stop. Whoever tells it ends the watches, too.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// As kube-apiserver's.
const HTTP2_STREAMS_MAX: u32 = 1000;

/// Binds the API port.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address} (API)"))
}

/// Serves until `stop` turns true, then lets requests in flight finish. Each connection gets the certificate that is the
/// latest when it comes.
pub async fn run(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let connections = GracefulShutdown::new();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Out of file descriptors, most likely; connections that end make room.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = crate::stop::told(&mut stop) => break,
        };
        let watcher = connections.watcher();
        let (acceptor, router) = (TlsAcceptor::from(tls.borrow().clone()), router.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(socket, acceptor, router, watcher).await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => {}
        () = tokio::time::sleep(DRAIN_LIMIT) => tracing::debug!("connections left open at the end of the drain"),
    }
}

async fn connection(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<()> {
    socket.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(socket)).await.context("handshake")??;
    let identity = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .and_then(crate::tls::subject)
        .map(|(user, groups)| api_rest::Identity::new(user, groups));
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        if let Some(identity) = &identity {
            request.extensions_mut().insert(identity.clone());
        }
        request.map(axum::body::Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(30));
    builder.http1().timer(TokioTimer::new());
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    watcher.watch(serving.into_owned()).await.map_err(|error| anyhow::anyhow!(error))
}
