//! A watch over a WebSocket: a message an event, for clients that cannot read a stream (browsers).

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use bytes::Bytes;
use http::header;

use super::watch::{Begun, begin};
use crate::context::Context;
use crate::negotiate::{Encoding, Wanted};
use crate::query::Query;
use crate::{Api, Status};

/// Whether a request asks for a WebSocket.
pub(crate) fn wanted(request: &Request) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

pub(crate) async fn serve(
    api: Arc<Api>,
    context: Context,
    name: &str,
    query: &Query,
    wanted: Wanted,
    request: Request,
) -> Result<Response, Status> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade = upgrade.map_err(|refused| Status::bad_request(refused.to_string()))?;
    let begun = begin(&api, &context, name, query, wanted).await?;
    Ok(upgrade.on_upgrade(move |socket| run(socket, begun, wanted.encoding)))
}

async fn run(mut socket: WebSocket, begun: Begun, encoding: Encoding) {
    let mut watcher = match begun {
        Begun::Watcher(watcher) => watcher,
        Begun::Refused(event) => {
            let _ = socket.send(message(event, encoding)).await;
            return;
        }
    };
    loop {
        let sent = tokio::select! {
            event = watcher.next_event() => match event {
                Some(event) => socket.send(message(event, encoding)).await,
                None => socket.send(Message::Close(None)).await,
            },
            // Clients have nothing to say but goodbye.
            said = socket.recv() => match said {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(_)) => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// An event as a message. The length that precedes an event in a stream is the message's own here.
fn message(event: Bytes, encoding: Encoding) -> Message {
    if encoding == Encoding::Protobuf {
        return Message::Binary(event.slice(4..));
    }
    match axum::extract::ws::Utf8Bytes::try_from(event) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Close(None),
    }
}
