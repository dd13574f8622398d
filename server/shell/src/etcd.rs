//! The etcd v3 port: sockets and TLS under [`server_etcd::Face`].

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use raft_node::{AdminError, Node};
use raft_state::port::{self, BoxFuture, Kind, Store};
use rustls::ServerConfig;
use server_etcd::{Code, Face, Members, Operator, Status};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::authority::Lenient;
use crate::pki::Pair;
use crate::server::Serves;
use crate::together::{Calls, Together};
use crate::traces::Tracing;

/// The group that may use the face where certificates are asked for.
const ADMINISTRATORS: &str = "system:masters";
/// A client that does not finish its handshake within this is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long calls in flight may go on once the port is told to close.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// The port, bound already.
pub struct Port {
    listener: TcpListener,
    /// `None` listens in plain text.
    tls: Option<watch::Sender<Arc<ServerConfig>>>,
}

impl Port {
    /// Binds what a URL says: `https://host:port` asks every client for a certificate of the cluster's authority, in
    /// system:masters; `http://host:port` asks for nothing, and is for stores alone.
    ///
    /// # Errors
    /// When the URL is none, plain text is not allowed, or the port is taken.
    pub async fn bind(url: &str, plain_allowed: bool, ca_pem: &str, pair: &Pair) -> Result<Self> {
        let (is_plain, address) = parse(url)?;
        if is_plain && !plain_allowed {
            bail!("{url}: only a store alone (--store-only) may listen in plain text, use https://");
        }
        let tls = if is_plain { None } else { Some(watch::Sender::new(crate::tls::mutual_server(ca_pem, pair)?)) };
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("listening on {address} (etcd clients)"))?;
        tracing::info!(url, "serving etcd's API");
        Ok(Self { listener, tls })
    }

    /// Where a new certificate goes, for the connections that come after it.
    pub fn certificate(&self) -> Option<watch::Sender<Arc<ServerConfig>>> {
        self.tls.clone()
    }

    /// Serves until `stop` turns true, then ends the streams and lets calls in flight finish.
    pub async fn serve(self, face: Arc<Face>, tracing: Option<Tracing>, mut stop: watch::Receiver<bool>) {
        let connections = GracefulShutdown::new();
        loop {
            let socket = tokio::select! {
                accepted = self.listener.accept() => match accepted {
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
            let tls = self.tls.as_ref().map(|latest| latest.borrow().clone());
            let served = Served { face: face.clone(), tracing: tracing.clone() };
            let watcher = connections.watcher();
            tokio::spawn(async move {
                let served = match tls {
                    Some(tls) => secured(socket, tls, served, watcher).await,
                    None => plain(socket, served, watcher).await,
                };
                if let Err(error) = served {
                    tracing::debug!(%error, "an etcd connection ended");
                }
            });
        }
        drop(self.listener);
        face.stop();
        tokio::select! {
            () = connections.shutdown() => {}
            () = tokio::time::sleep(DRAIN_LIMIT) => {
                tracing::debug!("etcd connections left open at the end of the drain");
            }
        }
    }
}

fn parse(url: &str) -> Result<(bool, SocketAddr)> {
    let (scheme, address) =
        url.split_once("://").with_context(|| format!("{url}: expected https://<address>:<port>"))?;
    let is_plain = match scheme {
        "http" => true,
        "https" => false,
        _ => bail!("{url}: expected https:// or http://"),
    };
    let address = address.trim_end_matches('/');
    let address = address.parse().with_context(|| format!("{url}: {address} is no <ip address>:<port>"))?;
    Ok((is_plain, address))
}

/// What a connection is served.
struct Served {
    face: Arc<Face>,
    /// When calls are traced.
    tracing: Option<Tracing>,
}

async fn plain(socket: TcpStream, served: Served, watcher: Watcher) -> Result<()> {
    socket.set_nodelay(true)?;
    serve(socket, served, true, watcher).await
}

async fn secured(socket: TcpStream, tls: Arc<ServerConfig>, served: Served, watcher: Watcher) -> Result<()> {
    socket.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(tls).accept(socket);
    let stream = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await.context("handshake")??;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let groups = certificate.and_then(crate::tls::subject).map(|(_, groups)| groups).unwrap_or_default();
    serve(stream, served, groups.iter().any(|group| group == ADMINISTRATORS), watcher).await
}

async fn serve<S>(stream: S, served: Served, allowed: bool, watcher: Watcher) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Served { face, tracing } = served;
    let service = service_fn(move |request: Request<Incoming>| {
        let face = face.clone();
        let span = tracing.as_ref().and_then(|tracing| tracing.begin_call(&request));
        async move {
            if !allowed {
                return Ok::<_, Infallible>(Face::deny(request.method() == http::Method::POST));
            }
            let call = face.call(request);
            Ok(match &span {
                Some(span) => raft_trace::within(span.context(), call).await,
                None => call.await,
            })
        }
    });
    let calls = Calls::default();
    let mut builder = Builder::new(calls.clone());
    builder
        .http2()
        .timer(TokioTimer::new())
        // As etcd's servers: clients put all they do on one connection, and cancel watches by the thousand.
        .max_concurrent_streams(u32::MAX)
        .max_pending_accept_reset_streams(Some(1 << 16))
        .max_local_error_reset_streams(None)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .keep_alive_interval(Duration::from_secs(30));
    builder.http1().timer(TokioTimer::new());
    let serving = builder.serve_connection(TokioIo::new(Lenient::new(stream)), service).into_owned();
    Together::new(Box::pin(watcher.watch(serving)), calls).await.map_err(|error| anyhow::anyhow!(error))
}

/// The face of a member. Beside Kubernetes' API the objects of that API are for reading only.
pub fn face(store: Arc<dyn Store>, member: Member, cluster_id: String, serves: Serves) -> Arc<Face> {
    let read_only = (serves == Serves::Kubernetes).then(|| Bytes::from_static(b"/registry/"));
    let operator = Arc::new(member);
    Face::new(server_etcd::Options { store, operator, cluster_id, read_only, peer_scheme: "https" })
}

/// The member behind the face.
pub struct Member {
    /// Raft.
    pub node: Arc<Node>,
    /// Holds log, state and snapshots.
    pub data_dir: PathBuf,
}

impl Operator for Member {
    fn disk_bytes(&self) -> u64 {
        folder_bytes(&self.data_dir)
    }

    fn memory_bytes(&self) -> u64 {
        let pages = std::fs::read_to_string("/proc/self/statm").ok();
        let resident = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
        resident.unwrap_or(0) * rustix::param::page_size() as u64
    }

    fn move_leader(&self, to: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Status>> {
        // Who does not answer does not take over in time either.
        Box::pin(async move { self.node.transfer(to, deadline).await.map_err(|e| failed(&e, Status::TIMEOUT)) })
    }

    fn members(&self) -> Option<&dyn Members> {
        Some(self)
    }
}

impl Members for Member {
    fn list(&self, deadline: Instant) -> BoxFuture<'_, Result<Vec<port::Member>, Status>> {
        Box::pin(async move {
            let status = self.node.cluster_status(deadline).await.map_err(|e| failed(&e, Status::TIMEOUT))?;
            Ok(status.members.into_iter().map(|m| m.member).collect())
        })
    }

    fn add(&self, peer_address: String, learner: bool, deadline: Instant) -> BoxFuture<'_, Result<u64, Status>> {
        let kind = if learner { Kind::Standby } else { Kind::Master };
        Box::pin(async move {
            let place = port::Member { peer_address, kind, ..port::Member::default() };
            self.node.add_member(&place, deadline).await.map_err(|e| failed(&e, Status::PEER_URL_EXISTS))
        })
    }

    fn remove(&self, id: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            let removed = self.node.remove(id, deadline).await;
            removed.map_err(|e| failed(&e, Status::MEMBER_NOT_ENOUGH_STARTED))
        })
    }

    fn promote(&self, id: u64, deadline: Instant) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            let status = self.node.cluster_status(deadline).await.map_err(|e| failed(&e, Status::TIMEOUT))?;
            let member = status.members.iter().find(|m| m.member.id == id).ok_or(Status::MEMBER_NOT_FOUND)?;
            let policy = self.node.autopilot();
            let behind = status.last_index.saturating_sub(member.matched_index);
            if member.member.name.is_empty() || member.silent >= policy.fresh || behind > policy.lag_entries {
                return Err(Status::LEARNER_NOT_READY);
            }
            let promoted = self.node.promote(id, deadline).await;
            let note =
                promoted.map_err(|e| failed(&e, Status::new(Code::FailedPrecondition, format!("etcdserver: {e}"))))?;
            // It votes as soon as that keeps the number of voters odd.
            if note.is_empty() {
                Ok(())
            } else {
                Err(Status::new(Code::FailedPrecondition, format!("etcdserver: {note}")))
            }
        })
    }

    fn update(&self, id: u64, peer_address: String, deadline: Instant) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(async move {
            let updated = self.node.set_peer_address(id, &peer_address, deadline).await;
            updated.map_err(|e| failed(&e, Status::PEER_URL_EXISTS))
        })
    }
}

/// Why the membership did not change, in etcd's words; `refused` is what a refusal means here.
fn failed(error: &AdminError, refused: Status) -> Status {
    match error {
        AdminError::Unknown(_) => Status::MEMBER_NOT_FOUND,
        AdminError::Refused(why) => {
            tracing::info!(why, "a change of the members was refused");
            refused
        }
        AdminError::DeadlineExceeded(_) => Status::TIMEOUT,
        AdminError::Stopping => Status::STOPPED,
    }
}

/// What the files of a folder take. Files come and go while it is counted: one that is gone counts nothing.
fn folder_bytes(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        let check = |url: &str, expected: Option<(bool, &str)>| {
            let parsed = parse(url).ok().map(|(is_plain, address)| (is_plain, address.to_string()));
            assert_eq!(parsed, expected.map(|(is_plain, address)| (is_plain, address.to_owned())), "{url}");
        };
        check("https://127.0.0.1:2379", Some((false, "127.0.0.1:2379")));
        check("http://0.0.0.0:2379/", Some((true, "0.0.0.0:2379")));
        check("127.0.0.1:2379", None);
        check("ftp://127.0.0.1:2379", None);
        check("https://127.0.0.1", None);
    }
}
