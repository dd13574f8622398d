//! Watches over WebSockets.

use std::time::Duration;

use api_schema::protobuf::read;
use futures::StreamExt;
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::server::Server;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn watch(server: &Server, query: &str, accept: &str) -> WebSocketStream<TcpStream> {
    let address = server.listen().await;
    let mut request: Request<()> = format!("ws://{address}{MAPS}?watch=true{query}").into_client_request().unwrap();
    request.headers_mut().insert("accept", accept.parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket").0
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.expect("a message");
    message.expect("the stream goes on").unwrap()
}

#[tokio::test]
async fn every_event_is_a_message() {
    let server = Server::new().await;
    server.post(MAPS, &json!({"metadata": {"name": "a"}})).await.ok();
    let mut socket = watch(&server, "&timeoutSeconds=2", "application/json").await;
    server.post(MAPS, &json!({"metadata": {"name": "b"}})).await.ok();
    server.delete(&format!("{MAPS}/a"), &json!({})).await.ok();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event: Value = serde_json::from_str(next(&mut socket).await.to_text().unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        seen.push(format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"])));
    }
    assert_eq!(seen, ["ADDED a", "ADDED b", "DELETED a"]);
    assert!(matches!(next(&mut socket).await, Message::Close(_)), "the watch's time is up");
}

#[tokio::test]
async fn in_protobuf_a_message_is_an_event_without_a_length() {
    let server = Server::new().await;
    server.post(MAPS, &json!({"metadata": {"name": "a"}})).await.ok();
    let mut socket = watch(&server, "", "application/vnd.kubernetes.protobuf").await;
    let Message::Binary(event) = next(&mut socket).await else { panic!("binary") };
    assert!(event.starts_with(b"\x0a\x05ADDED"), "{event:?}");
    let at = event.windows(4).position(|window| window == b"k8s\0").unwrap();
    assert_eq!(read(&event[at..], None).unwrap()["metadata"]["name"], "a");
}

#[tokio::test]
async fn a_watch_from_the_forgotten_past_says_so() {
    let server = Server::new().await;
    let mut last = 0;
    for name in ["a", "b", "c"] {
        let made = server.post(MAPS, &json!({"metadata": {"name": name}})).await.ok();
        last = made["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    }
    server.compact(last).await;
    let mut socket = watch(&server, "&resourceVersion=1", "application/json").await;
    let event: Value = serde_json::from_str(next(&mut socket).await.to_text().unwrap()).unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
}
