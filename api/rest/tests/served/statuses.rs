//! Refusals and their reasons, dry runs, finalizers, preconditions.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::Server;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MERGE: &str = "application/merge-patch+json";

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"k": "1"}})
}

#[tokio::test]
async fn refusals_have_kubernetes_codes_and_words() {
    let server = Server::new().await;
    server.post(MAPS, &map("a")).await.ok();
    let (one, text) = (format!("{MAPS}/a"), "text/plain");
    let json_body = [("content-type", "application/json")];
    type Case<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], String, u16, &'a str, &'a str);
    let cases: [Case<'_>; 12] = [
        (
            Method::GET,
            "/api/v1/namespaces/default/configmaps/b",
            &[],
            String::new(),
            404,
            "NotFound",
            r#"configmaps "b" not found"#,
        ),
        (
            Method::GET,
            "/apis/apps/v1/things",
            &[],
            String::new(),
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            Method::POST,
            MAPS,
            &json_body,
            map("a").to_string(),
            409,
            "AlreadyExists",
            r#"configmaps "a" already exists"#,
        ),
        (
            Method::POST,
            MAPS,
            &json_body,
            map("B_").to_string(),
            422,
            "Invalid",
            r#"ConfigMap "B_" is invalid: metadata.name: Invalid value: "B_": "#,
        ),
        (
            Method::POST,
            &one,
            &json_body,
            map("a").to_string(),
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        (
            Method::PUT,
            MAPS,
            &json_body,
            map("a").to_string(),
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        (
            Method::GET,
            MAPS,
            &[("accept", "text/html")],
            String::new(),
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        (
            Method::POST,
            MAPS,
            &[("content-type", text)],
            map("c").to_string(),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        (
            Method::PATCH,
            &one,
            &json_body,
            "{}".to_owned(),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
        ),
        (
            Method::POST,
            MAPS,
            &json_body,
            json!({"metadata": {"name": "d", "namespace": "other"}}).to_string(),
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            Method::POST,
            MAPS,
            &json_body,
            json!({"kind": "Secret", "metadata": {"name": "d"}}).to_string(),
            400,
            "BadRequest",
            "the API version in the data (, Secret) does not match the expected API version (v1, ConfigMap)",
        ),
        (
            Method::POST,
            "/api/v1/namespaces/none/configmaps",
            &json_body,
            map("d").to_string(),
            404,
            "NotFound",
            r#"namespaces "none" not found"#,
        ),
    ];
    for (method, path, headers, body, code, reason, message) in cases {
        let (found, why, said) = server.send(method.clone(), path, headers, body).await.refusal();
        assert!(found == code && why == reason && said.starts_with(message), "{method} {path}: {found} {why} {said}");
    }
    let invalid = server.post(MAPS, &map("B_")).await.json();
    assert_eq!(invalid["details"]["causes"][0]["field"], "metadata.name");
    assert_eq!(invalid["details"]["causes"][0]["reason"], "FieldValueInvalid");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = Server::new().await;
    let object = |bytes: usize| json!({"metadata": {"name": "big"}, "data": {"k": "x".repeat(bytes)}});
    let (code, reason, _) = server.post(MAPS, &object(3 * 1024 * 1024)).await.refusal();
    assert_eq!((code, reason.as_str()), (413, "RequestEntityTooLarge"), "a body");
    // ConfigMaps have a limit of their own, below that of objects.
    let (code, _, message) = server.post(MAPS, &object(1024 * 1024 + 1)).await.refusal();
    assert!(code == 422 && message.contains("Too long"), "{code} {message}");
    server.post(MAPS, &object(1_000_000)).await.ok();
}

#[tokio::test]
async fn changes_of_something_else_conflict() {
    let server = Server::new().await;
    let old = server.post(MAPS, &map("a")).await.ok();
    let path = format!("{MAPS}/a");
    server.patch(&path, MERGE, &json!({"data": {"k": "2"}})).await.ok();
    let (code, reason, message) = server.put(&path, &old).await.refusal();
    assert_eq!((code, reason.as_str()), (409, "Conflict"));
    assert_eq!(
        message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let mut other = old.clone();
    other["metadata"]["resourceVersion"] = Value::Null;
    other["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555".into();
    let (code, _, message) = server.put(&path, &other).await.refusal();
    assert!(code == 409 && message.contains("Precondition failed: UID in precondition"), "{message}");
    // Without a revision, the last word stands.
    server.put(&path, &map("a")).await.ok();
    let (code, _, message) = server.put(&path, &map("b")).await.refusal();
    assert_eq!((code, message.as_str()), (400, "the name of the object (b) does not match the name on the URL (a)"));
    let old_version = &old["metadata"]["resourceVersion"];
    let stale =
        server.patch(&path, MERGE, &json!({"metadata": {"resourceVersion": old_version}, "data": {"k": "3"}})).await;
    assert_eq!(stale.code, StatusCode::CONFLICT);
    for preconditions in [json!({"uid": "another"}), json!({"resourceVersion": old_version})] {
        let refused = server.delete(&path, &json!({"preconditions": preconditions})).await;
        let (code, _, message) = refused.refusal();
        assert!(code == 409 && message.contains("in the precondition"), "{message}");
    }
    server.delete(&path, &json!({"preconditions": {"uid": old["metadata"]["uid"]}})).await.ok();
}

#[tokio::test]
async fn a_change_of_nothing_writes_nothing() {
    let server = Server::new().await;
    let made = server.post(MAPS, &json!({"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}})).await.ok();
    let path = format!("{MAPS}/a");
    let revision = &made["metadata"]["resourceVersion"];
    let same = server.put(&path, &made).await.ok();
    assert_eq!(&same["metadata"]["resourceVersion"], revision);
    // The order of fields is no change either.
    let turned = json!({"data": {"y": "2", "x": "1"}, "metadata": {"name": "a"}});
    let same = server.put(&path, &turned).await.ok();
    assert_eq!(&same["metadata"]["resourceVersion"], revision, "{same}\n{made}");
    let patched = server.patch(&path, MERGE, &json!({"data": {"x": "1"}})).await.ok();
    assert_eq!(&patched["metadata"]["resourceVersion"], revision);
}

#[tokio::test]
async fn a_dry_run_answers_and_changes_nothing() {
    let server = Server::new().await;
    let made = server.post(&format!("{MAPS}?dryRun=All"), &map("a")).await;
    assert_eq!((made.code, made.ok()["metadata"]["uid"].is_string()), (StatusCode::CREATED, true));
    assert_eq!(server.get(&format!("{MAPS}/a")).await.code, StatusCode::NOT_FOUND);
    server.post(MAPS, &map("a")).await.ok();
    assert_eq!(server.post(&format!("{MAPS}?dryRun=All"), &map("a")).await.code, StatusCode::CONFLICT);
    let path = format!("{MAPS}/a");
    let patched = server.patch(&format!("{path}?dryRun=All"), MERGE, &json!({"data": {"k": "2"}})).await.ok();
    assert_eq!(patched["data"]["k"], "2");
    server.delete(&format!("{path}?dryRun=All"), &json!({})).await.ok();
    server.delete(&path, &json!({"dryRun": ["All"]})).await.ok();
    assert_eq!(server.get(&path).await.ok()["data"]["k"], "1");
    let (code, _, message) = server.post(&format!("{MAPS}?dryRun=Some"), &map("b")).await.refusal();
    assert!(code == 422 && message.contains("Unsupported value: [\"Some\"]"), "{code} {message}");
}

#[tokio::test]
async fn finalizers_hold_an_object_until_they_are_gone() {
    let server = Server::new().await;
    let held = json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}});
    server.post(MAPS, &held).await.ok();
    let path = format!("{MAPS}/a");
    let marked = server.delete(&path, &json!({})).await.ok();
    assert_eq!(marked["kind"], "ConfigMap");
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let revision = marked["metadata"]["resourceVersion"].clone();
    assert_eq!(server.delete(&path, &json!({})).await.ok()["metadata"]["resourceVersion"], revision, "marked once");
    let (code, _, message) =
        server.patch(&path, MERGE, &json!({"metadata": {"finalizers": ["example.com/hold", "b/c"]}})).await.refusal();
    assert!(
        code == 422 && message.contains("no new finalizers can be added if the object is being deleted"),
        "{message}"
    );
    let last = server.patch(&path, MERGE, &json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(last["metadata"]["name"], "a");
    assert_eq!(server.get(&path).await.code, StatusCode::NOT_FOUND);

    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        server.post(MAPS, &map(finalizer.to_lowercase().as_str())).await.ok();
        let path = format!("{MAPS}/{}", finalizer.to_lowercase());
        let marked = server.delete(&path, &json!({"propagationPolicy": policy})).await.ok();
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
    }
    let (code, _, message) = server.delete(&path, &json!({"propagationPolicy": "Sideways"})).await.refusal();
    assert!(
        code == 422 && message.contains("DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy"),
        "{message}"
    );
}

#[tokio::test]
async fn names_are_made_up_on_demand() {
    let server = Server::new().await;
    let made = server.post(MAPS, &json!({"metadata": {"generateName": "part-"}})).await.ok();
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("part-") && name.len() == 10, "{name}");
    let (code, _, message) = server.post(MAPS, &json!({"metadata": {}})).await.refusal();
    assert!(code == 422 && message.contains("name or generateName is required"), "{message}");
}

#[tokio::test]
async fn strangers_and_the_unprivileged_are_turned_away() {
    let server = Server::new().await;
    let (code, reason, _) = server.as_user(None, Method::GET, MAPS).await.refusal();
    assert_eq!((code, reason.as_str()), (401, "Unauthorized"));
    let (code, reason, message) = server.as_user(Some("jane"), Method::GET, MAPS).await.refusal();
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        message,
        r#"configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default""#
    );
}
