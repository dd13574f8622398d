//! ServiceAccount tokens: asked for, borne, reviewed, and ended by what they are bound to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use crate::server::Server;

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const PODS: &str = "/api/v1/namespaces/default/pods";
const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

async fn with_robot() -> Server {
    let server = Server::new().await;
    for name in ["default", "robot"] {
        server.post(ACCOUNTS, &json!({"metadata": {"name": name}})).await.ok();
    }
    server
}

async fn token(server: &Server, spec: Value) -> String {
    let answer = server.post(&format!("{ACCOUNTS}/robot/token"), &json!({"spec": spec})).await.ok();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

async fn pod(server: &Server, name: &str) -> Value {
    let spec = json!({"serviceAccountName": "robot", "containers": [{"name": "c", "image": "i"}]});
    server.post(PODS, &json!({"metadata": {"name": name}, "spec": spec})).await.ok()
}

/// The user that a token speaks for; `None` for a token that is not accepted.
async fn user(server: &Server, token: &str) -> Option<Value> {
    let answer = server.as_bearer(token, Method::POST, WHOAMI, &json!({})).await;
    if answer.code == 401 {
        assert_eq!(answer.refusal().1, "Unauthorized");
        return None;
    }
    Some(answer.ok()["status"]["userInfo"].clone())
}

#[tokio::test]
async fn a_token_speaks_for_its_account_and_has_no_rights_of_its_own() {
    let server = with_robot().await;
    let asked = server.post(&format!("{ACCOUNTS}/robot/token"), &json!({"spec": {"expirationSeconds": 7200}})).await;
    assert_eq!(asked.code, 201);
    let asked = asked.ok();
    assert_eq!((&asked["kind"], &asked["metadata"]["name"]), (&json!("TokenRequest"), &json!("robot")));
    assert_eq!(asked["spec"]["audiences"], json!(["https://kubernetes.default.svc.cluster.local"]));
    assert!(asked["status"]["expirationTimestamp"].is_string());
    let token = asked["status"]["token"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7200);
    assert_eq!(claims["kubernetes.io"]["serviceaccount"]["name"], "robot");

    let user = user(&server, token).await.unwrap();
    assert_eq!(user["username"], "system:serviceaccount:default:robot");
    let groups = json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
    assert_eq!(user["groups"], groups);
    assert_eq!(user["uid"], asked["metadata"]["uid"]);
    let (code, reason, message) = server.as_bearer(token, Method::GET, PODS, &json!({})).await.refusal();
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    let who = "User \"system:serviceaccount:default:robot\" cannot list resource \"pods\" in API group \"\"";
    assert!(message.contains(who), "{message}");
}

#[tokio::test]
async fn a_token_ends_with_what_it_is_bound_to() {
    let server = with_robot().await;
    let made = pod(&server, "p").await;
    let bound = json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}});
    let (of_pod, of_account) = (token(&server, bound).await, token(&server, json!({})).await);
    let borne = user(&server, &of_pod).await.unwrap();
    assert_eq!(borne["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));
    assert_eq!(borne["extra"]["authentication.kubernetes.io/pod-uid"], json!([made["metadata"]["uid"]]));
    server.delete(&format!("{PODS}/p"), &json!({"gracePeriodSeconds": 0})).await.ok();
    assert_eq!(user(&server, &of_pod).await, None);
    pod(&server, "p").await;
    assert_eq!(user(&server, &of_pod).await, None, "another pod of that name is another pod");
    assert!(user(&server, &of_account).await.is_some());
    server.delete(&format!("{ACCOUNTS}/robot"), &json!({})).await.ok();
    assert_eq!(user(&server, &of_account).await, None);
}

#[tokio::test]
async fn what_was_not_signed_here_is_nobody() {
    let server = with_robot().await;
    let good = token(&server, json!({})).await;
    let (message, _) = good.rsplit_once('.').unwrap();
    let elsewhere = token(&server, json!({"audiences": ["vault"]})).await;
    for bad in ["rubbish", "a.b.c", &format!("{message}.AAAAAAAAAAA"), &elsewhere] {
        assert_eq!(user(&server, bad).await, None, "{bad}");
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let server = with_robot().await;
    pod(&server, "p").await;
    server
        .post(PODS, &json!({"metadata": {"name": "other"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}))
        .await
        .ok();
    let bound = |kind: &str, name: &str| json!({"spec": {"boundObjectRef": {"kind": kind, "name": name}}});
    let stranger = json!({"spec": {"boundObjectRef": {"kind": "Pod", "name": "p", "uid": "another"}}});
    let cases = [
        ("robot", json!({"spec": {"expirationSeconds": 60}}), 422, "may not specify a duration less than 10 minutes"),
        ("robot", json!({"spec": {"expirationSeconds": 1_i64 << 33}}), 422, "larger than 2^32 seconds"),
        ("robot", json!({"metadata": {"name": "x"}}), 422, "must match the service account name if specified"),
        ("robot", json!({"metadata": {"uid": "x"}}), 409, "does not match the UID of the service account"),
        ("robot", bound("Pod", "none"), 404, "pods \"none\" not found"),
        ("robot", bound("Pod", "other"), 400, "pod running with different serviceaccount name"),
        ("robot", bound("ConfigMap", "c"), 400, "cannot bind token to object of type"),
        ("robot", stranger, 409, "does not match the UID in record"),
        ("none", json!({}), 404, "serviceaccounts \"none\" not found"),
    ];
    for (account, request, expected, says) in cases {
        let (code, _, message) = server.post(&format!("{ACCOUNTS}/{account}/token"), &request).await.refusal();
        assert!(code == expected && message.contains(says), "{request}: {code} {message}");
    }
}

#[tokio::test]
async fn tokens_are_reviewed_for_others() {
    let server = with_robot().await;
    let good = token(&server, json!({})).await;
    let vault = token(&server, json!({"audiences": ["vault", "other"]})).await;
    let review = async |token: &str, audiences: Value| {
        let spec = json!({"token": token, "audiences": audiences});
        server.post(REVIEWS, &json!({"spec": spec})).await.ok()["status"].clone()
    };
    let found = review(&good, json!([])).await;
    assert_eq!(
        (&found["authenticated"], &found["user"]["username"]),
        (&json!(true), &json!("system:serviceaccount:default:robot"))
    );
    let found = review(&vault, json!(["vault", "third"])).await;
    assert_eq!((&found["authenticated"], &found["audiences"]), (&json!(true), &json!(["vault"])));
    let found = review(&vault, json!([])).await;
    assert!(found["authenticated"] != true && found["error"].is_string(), "{found}");
    let (code, _, message) = server.post(REVIEWS, &json!({"spec": {}})).await.refusal();
    assert!(code == 400 && message.contains("token is required"), "{message}");
    // Where those find the keys who check signatures themselves.
    let keys = server.get("/openid/v1/jwks").await.ok();
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["kid"]), (&json!("OKP"), &json!("test")));
    let configuration = server.get("/.well-known/openid-configuration").await.ok();
    assert_eq!(configuration["issuer"], "https://kubernetes.default.svc.cluster.local");
}
