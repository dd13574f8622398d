//! The two ends of a call that is under way: bodies that are fed from letters, and pumps that make letters of bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tokio::sync::{mpsc, watch};
use tonic::Status;
use tonic::body::Body;

use super::post::{Letter, Post};

/// A part of a body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Bytes of it.
    Data(Bytes),
    /// What follows the last bytes.
    Trailers(http::HeaderMap),
    /// It is whole.
    End,
}

/// Which way a piece goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From who calls.
    Up,
    /// To who calls.
    Down,
}

/// A body of which the pieces arrive one by one; it breaks when no more can come before the end.
pub struct Arriving {
    pieces: mpsc::UnboundedReceiver<Piece>,
    ended: bool,
    /// Hung up when this is dropped before the end.
    hang_up: Option<HangUp>,
}

impl Arriving {
    /// A body fed from there.
    pub fn new(pieces: mpsc::UnboundedReceiver<Piece>, hang_up: Option<HangUp>) -> Self {
        Self { pieces, ended: false, hang_up }
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.pieces.poll_recv(context));
        Poll::Ready(match piece {
            Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Piece::End) => {
                self.ended = true;
                self.hang_up = None;
                None
            }
            None => {
                self.ended = true;
                self.hang_up = None;
                Some(Err(Status::unavailable("the connection broke")))
            }
        })
    }
}

/// Tells the other side that nobody waits for an answer any more.
pub struct HangUp {
    /// Through here.
    pub post: Arc<Post>,
    /// Of this call.
    pub line: u64,
}

impl Drop for HangUp {
    fn drop(&mut self) {
        self.post.send(self.line, Way::Up, Letter::Reset);
    }
}

/// Sends a body on its way piece by piece, until it ends or the line is gone.
pub async fn pump(post: Arc<Post>, line: u64, way: Way, mut body: Body, mut gone: watch::Receiver<()>) {
    loop {
        let frame = tokio::select! {
            biased;
            // Only ever closed.
            _ = gone.changed() => return,
            frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => frame,
        };
        let piece = match frame {
            None => Piece::End,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Piece::Data(data),
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => Piece::Trailers(trailers),
                    Err(_) => continue,
                },
            },
            Some(Err(_)) => return post.send(line, way, Letter::Reset),
        };
        let is_end = matches!(piece, Piece::End);
        post.send(line, way, Letter::Piece(way, piece));
        if is_end {
            return;
        }
    }
}
