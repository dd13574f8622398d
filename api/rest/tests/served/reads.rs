//! Lists: resourceVersion and its match, limits and continue tokens. The table is Kubernetes' own ("resource versions" in
//! its API concepts).

use http::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Config maps `a` to `e`, one revision each; the revision of each.
async fn five(server: &Server) -> Vec<u64> {
    let mut revisions = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let made = server
            .post(MAPS, &json!({"metadata": {"name": name, "labels": {"odd": "ace".contains(name).to_string()}}}))
            .await
            .ok();
        revisions.push(revision(&made));
    }
    revisions
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn names(list: &Value) -> String {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect::<Vec<_>>().join("")
}

#[tokio::test]
async fn a_list_is_as_fresh_as_its_revision_asks() {
    let server = Server::new().await;
    let revisions = five(&server).await;
    let (third, last) = (revisions[2], revisions[4]);
    let cases = [
        ("", "abcde", last),
        ("?resourceVersion=0", "abcde", last),
        (&format!("?resourceVersion={third}"), "abcde", last),
        (&format!("?resourceVersion={third}&resourceVersionMatch=NotOlderThan"), "abcde", last),
        ("?resourceVersion=0&resourceVersionMatch=NotOlderThan", "abcde", last),
        (&format!("?resourceVersion={third}&resourceVersionMatch=Exact"), "abc", third),
        (&format!("?resourceVersion={last}&resourceVersionMatch=Exact"), "abcde", last),
        (&format!("?resourceVersion={third}&limit=2"), "ab", last),
        (&format!("?resourceVersion={third}&resourceVersionMatch=Exact&limit=2"), "ab", third),
        (&format!("?resourceVersion={third}&resourceVersionMatch=NotOlderThan&limit=2"), "ab", last),
        ("?resourceVersion=0&limit=2", "ab", last),
        ("?labelSelector=odd%3Dtrue", "ace", last),
        ("?labelSelector=odd!%3Dtrue&limit=1", "b", last),
        ("?fieldSelector=metadata.name%3Dc", "c", last),
    ];
    for (query, expected, at) in cases {
        let list = server.get(&format!("{MAPS}{query}")).await.ok();
        assert_eq!((names(&list).as_str(), revision(&list)), (expected, at), "{query}");
    }
}

#[tokio::test]
async fn revisions_that_make_no_sense_are_refused() {
    let server = Server::new().await;
    let last = *five(&server).await.last().unwrap();
    let cases = [
        ("?resourceVersion=x", 400, "Invalid value: \"x\""),
        ("?resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("?resourceVersion=0&resourceVersionMatch=Exact", 422, "forbidden for resourceVersion \"0\""),
        ("?resourceVersion=5&resourceVersionMatch=Newest", 422, "supported values: \"Exact\", \"NotOlderThan\""),
        ("?continue=rubbish", 400, "continue key is not valid"),
        ("?limit=x", 400, "x"),
        ("?labelSelector=a%3D%3D%3Db", 400, "unable to parse requirement: found '='"),
        (
            "?fieldSelector=spec.nothing%3Db",
            400,
            "\"spec.nothing\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
    ];
    for (query, code, message) in cases {
        let (found, _, said) = server.get(&format!("{MAPS}{query}")).await.refusal();
        assert!(found == code && said.contains(message), "{query}: {found} {said}");
    }
    let ahead = last + 1000;
    let answer = server.get(&format!("{MAPS}?resourceVersion={ahead}&timeout=100ms")).await;
    let (code, reason, message) = answer.refusal();
    assert_eq!((code, reason.as_str()), (504, "Timeout"));
    assert!(message.contains(&format!("Too large resource version: {ahead}, current: {last}")), "{message}");
    assert_eq!(answer.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let server = Server::new().await;
    let last = *five(&server).await.last().unwrap();
    let first = server.get(&format!("{MAPS}?limit=2")).await.ok();
    assert_eq!((names(&first).as_str(), &first["metadata"]["remainingItemCount"]), ("ab", &json!(3)));
    // What happens between two pages does not show in the second.
    server.delete(&format!("{MAPS}/d"), &json!({})).await.ok();
    server.post(MAPS, &json!({"metadata": {"name": "cc"}})).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = server.get(&format!("{MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!((names(&second).as_str(), revision(&second)), ("cd", last));
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = server.get(&format!("{MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!((names(&third).as_str(), revision(&third)), ("e", last));
    assert!(third["metadata"]["continue"].is_null() && third["metadata"]["remainingItemCount"].is_null());
    // With a selector, nobody counts what is left.
    let odd = server.get(&format!("{MAPS}?limit=1&labelSelector=odd%3Dtrue")).await.ok();
    assert!(odd["metadata"]["continue"].is_string() && odd["metadata"]["remainingItemCount"].is_null());
    let both = server.get(&format!("{MAPS}?continue={token}&resourceVersion=5")).await;
    assert_eq!(both.code, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_token_from_before_compaction_offers_another_one() {
    let server = Server::new().await;
    five(&server).await;
    let first = server.get(&format!("{MAPS}?limit=2")).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    let made = server.post(MAPS, &json!({"metadata": {"name": "cc"}})).await.ok();
    server.compact(revision(&made)).await;
    let answer = server.get(&format!("{MAPS}?limit=2&continue={token}")).await;
    let (code, reason, message) = answer.refusal();
    assert_eq!((code, reason.as_str()), (410, "Expired"));
    assert!(message.starts_with("The provided continue parameter is too old"), "{message}");
    // The refusal names a token that goes on behind the same key, at the newest revision.
    let token = answer.json()["metadata"]["continue"].as_str().unwrap().to_owned();
    let rest = server.get(&format!("{MAPS}?continue={token}")).await.ok();
    assert_eq!((names(&rest).as_str(), revision(&rest)), ("cccde", revision(&made)));
}
