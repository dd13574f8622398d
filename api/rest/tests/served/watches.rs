//! Watches: where they begin, what they show, how they end.

use http::Method;
use serde_json::{Value, json};

use crate::server::{Server, Watch};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn make(server: &Server, name: &str) -> u64 {
    let made = server.post(MAPS, &json!({"metadata": {"name": name}, "data": {"k": "1"}})).await.ok();
    made["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_watch_goes_on_from_its_revision() {
    let server = Server::new().await;
    let first = make(&server, "a").await;
    make(&server, "b").await;
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion={first}")).await;
    server.patch(&format!("{MAPS}/a"), "application/merge-patch+json", &json!({"data": {"k": "2"}})).await.ok();
    server.delete(&format!("{MAPS}/b"), &json!({})).await.ok();
    assert_eq!(watch.names(3).await, ["ADDED b", "MODIFIED a", "DELETED b"]);
}

#[tokio::test]
async fn without_a_revision_it_begins_with_what_is_there() {
    let server = Server::new().await;
    make(&server, "a").await;
    make(&server, "b").await;
    for query in ["?watch=true", "?watch=1&resourceVersion=0", "?watch=true&resourceVersion="] {
        let mut watch = server.watch(&format!("{MAPS}{query}")).await;
        assert_eq!(watch.names(2).await, ["ADDED a", "ADDED b"], "{query}");
    }
    let mut one = server.watch(&format!("{MAPS}?watch=true&fieldSelector=metadata.name%3Db")).await;
    assert_eq!(one.names(1).await, ["ADDED b"]);
    let mut old = server.watch("/api/v1/watch/namespaces/default/configmaps/a").await;
    assert_eq!(old.names(1).await, ["ADDED a"]);
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let server = Server::new().await;
    make(&server, "a").await;
    let last = make(&server, "b").await;
    let initial = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut watch = server.watch(&format!("{MAPS}?{initial}")).await;
    assert_eq!(watch.names(2).await, ["ADDED a", "ADDED b"]);
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], last.to_string());
    make(&server, "c").await;
    assert_eq!(watch.names(1).await, ["ADDED c"]);

    let mut silent =
        server.watch(&format!("{MAPS}?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")).await;
    make(&server, "d").await;
    assert_eq!(silent.names(1).await, ["ADDED d"]);

    for (query, message) in [
        ("watch=true&sendInitialEvents=true&allowWatchBookmarks=true", "resourceVersionMatch"),
        (
            "watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
    ] {
        let (code, _, said) = server.get(&format!("{MAPS}?{query}")).await.refusal();
        assert!(code == 422 && said.contains(message), "{query}: {code} {said}");
    }
}

#[tokio::test]
async fn a_revision_that_is_gone_ends_the_watch_with_410() {
    let server = Server::new().await;
    let first = make(&server, "a").await;
    let last = make(&server, "b").await;
    server.compact(last).await;
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion={}", first - 1)).await;
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    assert!(event["object"]["message"].as_str().unwrap().starts_with("too old resource version"));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn an_object_enters_and_leaves_a_selection() {
    let server = Server::new().await;
    let begun = make(&server, "a").await;
    let mut watch =
        server.watch(&format!("{MAPS}?watch=true&resourceVersion={begun}&labelSelector=tier%3Dfront")).await;
    let label = |value: Value| json!({"metadata": {"labels": {"tier": value}}});
    for value in [json!("front"), json!("front"), json!("back"), json!("middle")] {
        server.patch(&format!("{MAPS}/a"), "application/merge-patch+json", &label(value)).await.ok();
    }
    server.patch(&format!("{MAPS}/a"), "application/merge-patch+json", &json!({"data": {"k": "3"}})).await.ok();
    let back = server.patch(&format!("{MAPS}/a"), "application/merge-patch+json", &label(json!("front"))).await.ok();
    assert_eq!(watch.names(2).await, ["ADDED a", "DELETED a"]);
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "ADDED");
    assert_eq!(event["object"]["metadata"]["resourceVersion"], back["metadata"]["resourceVersion"]);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_each_minute_and_the_end_when_it_is_due() {
    let server = Server::new().await;
    let begun = make(&server, "a").await;
    make(&server, "b").await;
    let path = format!(
        "{MAPS}?watch=true&resourceVersion={begun}&allowWatchBookmarks=true&timeoutSeconds=100&fieldSelector=metadata.name%3Da"
    );
    let response = server.open(Method::GET, &path, &[], "").await;
    let mut watch = Watch::of(response.into_body(), std::time::Duration::from_secs(200));
    let mut revisions = Vec::new();
    while let Some(event) = watch.next().await {
        assert_eq!(event["type"], "BOOKMARK");
        revisions.push(event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap());
    }
    assert_eq!(revisions, [begun + 1, begun + 1], "one after a minute, one at the end");
}
