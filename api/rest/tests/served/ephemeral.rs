//! `pods/ephemeralcontainers`, as `kubectl debug` uses it.

use serde_json::{Value, json};

use crate::server::Server;

const POD: &str = "/api/v1/namespaces/default/pods/a";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

fn adding(container: Value) -> Value {
    json!({"spec": {"ephemeralContainers": [container]}})
}

async fn server_with_pod() -> Server {
    let server = Server::new().await;
    let account = json!({"metadata": {"name": "default"}});
    server.post("/api/v1/namespaces/default/serviceaccounts", &account).await.ok();
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    server.post("/api/v1/namespaces/default/pods", &pod).await.ok();
    server
}

#[tokio::test]
async fn a_container_is_added_to_a_pod_and_stays() {
    let server = server_with_pod().await;
    let part = format!("{POD}/ephemeralcontainers");
    let look = json!({"name": "look", "image": "busybox", "targetContainerName": "c", "stdin": true});
    let pod = server.patch(&part, STRATEGIC, &adding(look)).await.ok();
    assert_eq!(pod["metadata"]["generation"], 2);
    let there = &pod["spec"]["ephemeralContainers"][0];
    assert_eq!((&there["name"], &there["imagePullPolicy"]), (&json!("look"), &json!("Always")));
    let manager = pod["metadata"]["managedFields"].as_array().unwrap().last().unwrap();
    assert_eq!(manager["subresource"], "ephemeralcontainers");

    // Nothing else is written this way, and the pod can be changed as before.
    let other = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"activeDeadlineSeconds": 5}});
    let pod = server.patch(&part, STRATEGIC, &other).await.ok();
    assert_eq!((&pod["metadata"]["labels"], &pod["spec"]["activeDeadlineSeconds"]), (&Value::Null, &Value::Null));
    let pod = server.patch(POD, STRATEGIC, &json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(pod["metadata"]["labels"]["a"], "b");
    assert_eq!(server.get(&part).await.ok()["spec"]["ephemeralContainers"][0]["name"], "look");
}

#[tokio::test]
async fn what_cannot_be_added_is_refused_in_kubernetes_words() {
    let server = server_with_pod().await;
    let part = format!("{POD}/ephemeralcontainers");
    let refused = |container: Value| {
        let (server, part) = (&server, &part);
        async move { server.patch(part, STRATEGIC, &adding(container)).await.refusal().2 }
    };
    let at = "Pod \"a\" is invalid: spec.ephemeralContainers";
    assert_eq!(refused(json!({"name": "c", "image": "i"})).await, format!("{at}[0].name: Duplicate value: \"c\""));
    assert_eq!(
        refused(json!({"name": "x", "image": "i", "targetContainerName": "y"})).await,
        format!("{at}[0].targetContainerName: Not found: \"y\"")
    );
    assert_eq!(
        refused(json!({"name": "x", "image": "i", "ports": [{"containerPort": 80}]})).await,
        format!("{at}[0].ports: Forbidden: cannot be set for an Ephemeral Container")
    );
    server.patch(&part, STRATEGIC, &adding(json!({"name": "look", "image": "busybox"}))).await.ok();
    assert_eq!(
        refused(json!({"name": "look", "image": "other"})).await,
        format!("{at}: Forbidden: existing ephemeral containers \"look\" may not be changed\n")
    );
    let none = json!([{"op": "remove", "path": "/spec/ephemeralContainers"}]);
    assert_eq!(
        server.patch(&part, "application/json-patch+json", &none).await.refusal().2,
        format!("{at}: Forbidden: existing ephemeral containers \"look\" may not be removed\n")
    );
}
