//! A way to a member on which everything is late, and that can break.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// See the module. Ends when it is dropped.
pub struct Late {
    accepted: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    breaks: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Drop for Late {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Late {
    /// What comes in at `from` goes to `to`, late by so much each way.
    pub async fn start(from: SocketAddr, to: SocketAddr, late: Duration) -> Self {
        let listener = TcpListener::bind(from).await.expect("an address");
        let (accepted, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let breaks = watch::Sender::new(0);
        let (all, counted, broken) = (accepted.clone(), connections.clone(), breaks.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                let (all, counted, mut broken) = (all.clone(), counted.clone(), broken.subscribe());
                tokio::spawn(async move {
                    let Ok(outbound) = TcpStream::connect(to).await else { return };
                    let _ = (inbound.set_nodelay(true), outbound.set_nodelay(true));
                    all.fetch_add(1, Ordering::SeqCst);
                    counted.fetch_add(1, Ordering::SeqCst);
                    let ((a, b), (c, d)) = (inbound.into_split(), outbound.into_split());
                    tokio::select! {
                        () = carry(a, d, late) => {}
                        () = carry(c, b, late) => {}
                        _ = broken.changed() => {}
                    }
                    counted.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { accepted, connections, breaks, accepting }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many there ever were.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Breaks them all; how many there ever were.
    pub fn break_all(&self) -> usize {
        let accepted = self.accepted();
        self.breaks.send_modify(|count| *count += 1);
        accepted
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    late: Duration,
) {
    let (sender, mut chunks) = mpsc::unbounded_channel::<(Instant, Bytes)>();
    let reading = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let chunk = (Instant::now() + late, Bytes::copy_from_slice(&buffer[..read]));
            if sender.send(chunk).is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, chunk)) = chunks.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
