//! Requests and answers in protobuf.

use api_schema::protobuf::{encode, read};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::server::Server;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    })
}

async fn create(server: &Server, name: &str) -> Value {
    let headers = [("content-type", PROTOBUF), ("accept", "application/vnd.kubernetes.protobuf,application/json")];
    let answer = server.send(Method::POST, PODS, &headers, encode(&pod(name)).unwrap()).await;
    assert_eq!((answer.code, answer.content_type()), (StatusCode::CREATED, PROTOBUF));
    read(&answer.body, None).unwrap()
}

#[tokio::test]
async fn an_object_comes_and_goes_in_protobuf() {
    let server = Server::new().await;
    server.post("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}})).await.ok();
    let created = create(&server, "a").await;
    create(&server, "b").await;
    assert_eq!(created["spec"]["restartPolicy"], "Always");
    let in_json = server.get(&format!("{PODS}/a")).await.ok();
    let answer = server.send(Method::GET, &format!("{PODS}/a"), &[("accept", PROTOBUF)], "").await;
    assert_eq!(answer.content_type(), PROTOBUF);
    let in_protobuf = read(&answer.body, None).unwrap();
    assert!(api_kinds::equality::same(&in_protobuf, &in_json), "{in_protobuf}\nis not\n{in_json}");
    assert_eq!(in_protobuf["metadata"]["resourceVersion"], in_json["metadata"]["resourceVersion"]);

    let list = server.send(Method::GET, &format!("{PODS}?limit=1"), &[("accept", PROTOBUF)], "").await;
    let list = read(&list.body, None).unwrap();
    assert_eq!((list["kind"].as_str(), list["items"].as_array().map(Vec::len)), (Some("PodList"), Some(1)));
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert_eq!(list["metadata"]["remainingItemCount"], 1);
    assert!(list["metadata"]["continue"].is_string());

    let only_metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = server.send(Method::GET, PODS, &[("accept", only_metadata)], "").await;
    assert_eq!(list.content_type(), PROTOBUF);
    assert!(!list.body.windows(5).any(|window| window == b"nginx"));
}

#[tokio::test]
async fn refusals_come_in_protobuf_too() {
    let server = Server::new().await;
    let answer = server.send(Method::GET, &format!("{PODS}/none"), &[("accept", PROTOBUF)], "").await;
    assert_eq!((answer.code, answer.content_type()), (StatusCode::NOT_FOUND, PROTOBUF));
    let status = read(&answer.body, None).unwrap();
    assert_eq!((&status["kind"], &status["message"]), (&"Status".into(), &r#"pods "none" not found"#.into()));
    assert_eq!(status["details"]["name"], "none");

    let headers = [("content-type", PROTOBUF)];
    let answer = server.send(Method::POST, PODS, &headers, "{}").await;
    let (code, reason, message) = answer.refusal();
    assert_eq!((code, reason.as_str()), (400, "BadRequest"));
    assert!(message.contains("expected prefix"), "{message}");
}

#[tokio::test]
async fn a_watch_is_framed_by_length() {
    let server = Server::new().await;
    server.post("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}})).await.ok();
    create(&server, "a").await;
    let path =
        format!("{PODS}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    let response = server.open(Method::GET, &path, &[("accept", PROTOBUF)], "").await;
    assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let mut events = Vec::new();
    while events.len() < 3 {
        if events.len() == 2 && bytes.is_empty() {
            server.delete(&format!("{PODS}/a"), &json!({"gracePeriodSeconds": 0})).await.ok();
        }
        bytes.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(frame) = rest.get(..length) else { break };
            // A WatchEvent: the type at 1, and at 2 a RawExtension with the object at 1.
            let name_end = 2 + frame[1] as usize;
            let object_at = frame.windows(4).position(|window| window == b"k8s\0").unwrap();
            let name = String::from_utf8(frame[2..name_end].to_vec()).unwrap();
            events.push((name, read(&frame[object_at..], None).unwrap()));
            bytes.drain(..4 + length);
        }
    }
    let seen: Vec<(&str, &str)> = events
        .iter()
        .map(|(name, object)| (name.as_str(), object["metadata"]["name"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(seen, [("ADDED", "a"), ("BOOKMARK", ""), ("DELETED", "a")]);
    assert_eq!(events[1].1["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}
