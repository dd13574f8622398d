//! A member that lags behind answers nothing from what it has that a newer state gives the lie.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use raft_state::port::Store;
use serde_json::{Value, json};
use tests_solo::{Front, Solo};

use crate::server::Server;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MAP: &str = "/api/v1/namespaces/default/configmaps/wanted";
const MERGE: &str = "application/merge-patch+json";

struct Scene {
    store: Arc<Solo>,
    front: Arc<Front>,
    server: Server,
}

impl Scene {
    async fn new() -> Self {
        let store = Solo::new();
        let front = Front::of(store.clone());
        let server = Server::over(front.clone(), store.clone()).await;
        Self { store, front, server }
    }

    async fn create(&self, metadata: Value, data: &str) {
        let mut object = json!({"metadata": metadata, "data": {"v": data}});
        object["metadata"]["name"] = "wanted".into();
        self.server.post(MAPS, &object).await.ok();
    }
}

#[tokio::test]
async fn a_change_back_to_what_it_was_is_made_though_this_member_has_not_heard_of_the_last() {
    let scene = Scene::new().await;
    scene.create(json!({}), "before").await;
    let old = scene.store.snapshot();
    scene.server.patch(MAP, MERGE, &json!({"data": {"v": "after"}})).await.ok();
    scene.front.lags(old);
    let done = scene.server.patch(MAP, MERGE, &json!({"data": {"v": "before"}})).await.ok();
    let now = scene.server.get(MAP).await.ok();
    assert_eq!(now["data"]["v"], "before", "{done}");
    assert_eq!(now["metadata"]["resourceVersion"], done["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn an_object_that_was_made_anew_is_deleted_though_this_member_saw_the_last_one_go() {
    let scene = Scene::new().await;
    scene.create(json!({"finalizers": ["example.com/x"]}), "first").await;
    scene.server.delete(MAP, &json!({})).await.ok();
    let old = scene.store.snapshot();
    scene.server.patch(MAP, MERGE, &json!({"metadata": {"finalizers": null}})).await.ok();
    scene.create(json!({}), "second").await;
    scene.front.lags(old);
    scene.server.delete(MAP, &json!({})).await.ok();
    assert_eq!(scene.server.get(MAP).await.code, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_change_is_judged_by_the_object_that_there_is() {
    let scene = Scene::new().await;
    scene.create(json!({}), "first").await;
    scene.server.patch(MAP, MERGE, &json!({"immutable": true})).await.ok();
    let old = scene.store.snapshot();
    scene.server.delete(MAP, &json!({})).await.ok();
    scene.create(json!({}), "second").await;
    scene.front.lags(old);
    scene.server.patch(MAP, MERGE, &json!({"data": {"v": "third"}})).await.ok();
    assert_eq!(scene.server.get(MAP).await.ok()["data"]["v"], "third");
    let tested = json!([{"op": "test", "path": "/data/v", "value": "third"}, {"op": "replace", "path": "/data/v", "value": "4"}]);
    scene.server.patch(MAP, "application/json-patch+json", &tested).await.ok();
}

#[tokio::test]
async fn an_address_that_was_given_back_is_free_though_this_member_saw_it_taken() {
    let scene = Scene::new().await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, address: &str| json!({"metadata": {"name": name}, "spec": {"clusterIP": address, "ports": [{"port": 80}]}});
    let first = scene.server.post(services, &service("first", "")).await.ok();
    let address = first["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    let old = scene.store.snapshot();
    scene.server.delete(&format!("{services}/first"), &json!({})).await.ok();
    scene.front.lags(old);
    let second = scene.server.post(services, &service("second", &address)).await.ok();
    assert_eq!(second["spec"]["clusterIP"], address.as_str());
}

#[tokio::test]
async fn a_quorum_is_asked_about_answers_that_no_write_stands_behind_and_no_others() {
    let scene = Scene::new().await;
    scene.create(json!({}), "1").await;
    let asked = || scene.front.confirmed_reads.swap(0, Ordering::SeqCst);
    asked();
    scene.server.patch(MAP, MERGE, &json!({"data": {"v": "2"}})).await.ok();
    assert_eq!(asked(), 0, "a write");
    scene.server.patch(MAP, MERGE, &json!({"data": {"v": "2"}})).await.ok();
    assert_eq!(asked(), 1, "nothing to change");
    scene.server.patch(MAP, MERGE, &json!({"data": {"v": 3}})).await.refusal();
    assert_eq!(asked(), 1, "what the object as it was seen speaks against");
    scene.server.delete(MAP, &json!({})).await.ok();
    assert_eq!(asked(), 0, "a deletion");
    scene.server.delete(MAP, &json!({})).await.refusal();
    assert_eq!(asked(), 1, "nothing to delete");
}
