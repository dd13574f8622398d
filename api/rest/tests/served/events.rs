//! Events: one object, two faces, each with every verb.

use http::StatusCode;
use serde_json::json;

use crate::server::Server;

const CORE: &str = "/api/v1/namespaces/default/events";
const NEW: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

#[tokio::test]
async fn an_event_is_seen_through_both_groups() {
    let server = Server::new().await;
    let core = server
        .post(CORE, &json!({
            "metadata": {"name": "a", "namespace": "default", "labels": {"l": "1"}}, "type": "Normal", "reason": "R", "message": "m",
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "source": {"component": "c"}, "count": 2,
            "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:04:06Z",
        }))
        .await
        .ok();
    let new = server.get(&format!("{NEW}/a")).await.ok();
    assert_eq!(
        (&new["apiVersion"], &new["note"], &new["deprecatedCount"]),
        (&json!("events.k8s.io/v1"), &json!("m"), &json!(2))
    );
    assert_eq!(new["regarding"]["name"], "p");
    assert_eq!(new["deprecatedSource"]["component"], "c");
    assert!(new.get("message").is_none() && new.get("involvedObject").is_none());
    assert_eq!(new["metadata"], core["metadata"]);

    let body = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "b", "namespace": "default"},
        "eventTime": "2026-01-02T03:04:05.000006Z", "reportingController": "c", "reportingInstance": "i", "action": "Did",
        "reason": "R", "type": "Warning", "note": "n", "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    });
    let made = server.post(NEW, &body).await;
    assert_eq!(made.code, StatusCode::CREATED);
    let made = made.ok();
    assert_eq!((&made["apiVersion"], &made["note"]), (&json!("events.k8s.io/v1"), &json!("n")));
    let core = server.get(&format!("{CORE}/b")).await.ok();
    assert_eq!((&core["apiVersion"], &core["message"]), (&json!("v1"), &json!("n")));
    assert_eq!((&core["reportingComponent"], &core["involvedObject"]["name"]), (&json!("c"), &json!("p")));
    assert_eq!(core["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);

    for (path, field, first) in [(CORE, "message", "m"), (NEW, "note", "m")] {
        let list = server.get(path).await.ok();
        assert_eq!(
            (list["items"].as_array().map(Vec::len), &list["items"][0][field]),
            (Some(2), &json!(first)),
            "{path}"
        );
    }
    let by_field = [
        (CORE, "involvedObject.name%3Dp,type%3DWarning", 1),
        (NEW, "regarding.name%3Dp,reportingController%3Dc", 1),
        (NEW, "regarding.kind%3DPod", 2),
    ];
    for (path, selector, count) in by_field {
        let list = server.get(&format!("{path}?fieldSelector={selector}")).await.ok();
        assert_eq!(list["items"].as_array().map(Vec::len), Some(count), "{path} {selector}");
    }
    assert_eq!(server.get(&format!("{NEW}?fieldSelector=involvedObject.name%3Dp")).await.code, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn changes_through_one_group_show_in_the_other() {
    let server = Server::new().await;
    let body = json!({
        "metadata": {"name": "a", "namespace": "default"}, "eventTime": "2026-01-02T03:04:05.000006Z",
        "reportingController": "c", "reportingInstance": "i", "action": "Did", "reason": "R", "type": "Normal", "note": "n",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    });
    let made = server.post(NEW, &body).await.ok();
    let revision = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut core = server.watch(&format!("{CORE}?watch=true&resourceVersion={revision}")).await;
    let mut new = server.watch(&format!("{NEW}?watch=true&resourceVersion={revision}")).await;
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-02T03:05:05.000006Z"}});
    let patched = server.patch(&format!("{NEW}/a"), "application/strategic-merge-patch+json", &series).await.ok();
    assert_eq!((&patched["series"]["count"], &patched["note"]), (&json!(2), &json!("n")));
    let (code, _, message) =
        server.patch(&format!("{NEW}/a"), "application/merge-patch+json", &json!({"note": "other"})).await.refusal();
    assert!(code == 422 && message.contains("message: Invalid value: \"other\": field is immutable"), "{message}");
    server.patch(&format!("{CORE}/a"), "application/merge-patch+json", &json!({"message": "other"})).await.ok();
    server.delete(&format!("{NEW}/a"), &json!({})).await.ok();
    for (watch, field, version) in [(&mut core, "message", "v1"), (&mut new, "note", "events.k8s.io/v1")] {
        let mut seen = Vec::new();
        for _ in 0..3 {
            let event = watch.next().await.unwrap();
            assert_eq!(event["object"]["apiVersion"], version);
            seen.push((
                event["type"].as_str().unwrap().to_owned(),
                event["object"][field].as_str().unwrap().to_owned(),
            ));
        }
        let seen: Vec<(&str, &str)> = seen.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(seen, [("MODIFIED", "n"), ("MODIFIED", "other"), ("DELETED", "other")]);
    }
    assert_eq!(server.get(&format!("{CORE}/a")).await.code, StatusCode::NOT_FOUND);
    let group = server.get("/apis/events.k8s.io/v1").await.ok();
    assert_eq!((&group["resources"][0]["name"], &group["resources"][0]["kind"]), (&json!("events"), &json!("Event")));
}
