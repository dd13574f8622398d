//! What a kube-apiserver 1.37.2 answered to requests that are not quite right, row by row: code and message.

use http::Method;
use serde_json::{Value, json};

use crate::server::Server;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A map, a pod and a Deployment to ask about.
async fn server() -> Server {
    let server = Server::new().await;
    server.post("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}})).await.ok();
    server.post(MAPS, &json!({"metadata": {"name": "a"}, "data": {"k": "v"}})).await.ok();
    let spec = json!({"containers": [{"name": "c", "image": "i"}]});
    server.post(PODS, &json!({"metadata": {"name": "p"}, "spec": spec})).await.ok();
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": spec});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    server.post(DEPLOYMENTS, &json!({"metadata": {"name": "d"}, "spec": spec})).await.ok();
    server
}

type Row<'a> = (Method, &'a str, &'a str, &'a str, u16, &'a str);

async fn check(rows: &[Row<'_>]) {
    let server = server().await;
    for (method, path, media_type, body, code, message) in rows {
        let headers = [("content-type", *media_type)];
        let answer = server.send(method.clone(), path, &headers, (*body).to_owned()).await;
        let said = match serde_json::from_slice::<Value>(&answer.body) {
            Ok(status) => status["message"].as_str().unwrap_or_default().to_owned(),
            Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
        };
        assert!(
            answer.code.as_u16() == *code && said.contains(message),
            "{method} {path} {body}: {} {said}\n--- instead of {code} {message}",
            answer.code
        );
    }
}

#[tokio::test]
async fn objects_that_were_meant_for_another_place() {
    let map = format!("{MAPS}/a");
    let scale = format!("{DEPLOYMENTS}/d/scale");
    let (binding, eviction) = (format!("{PODS}/p/binding"), format!("{PODS}/p/eviction"));
    let new = format!("{MAPS}/new?fieldManager=m");
    check(&[
        (
            Method::PUT,
            &map,
            JSON,
            r#"{"metadata":{}}"#,
            400,
            "the name of the object (a based on URL) was undeterminable",
        ),
        (
            Method::PUT,
            &map,
            JSON,
            r#"{"metadata":{"name":"b"}}"#,
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            Method::PUT,
            &map,
            JSON,
            r#"{"metadata":{"name":"a","namespace":"b"}}"#,
            400,
            "the namespace of the provided object does not match",
        ),
        (
            Method::PATCH,
            &map,
            MERGE,
            r#"{"metadata":{"name":"b"}}"#,
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        (
            Method::PUT,
            &scale,
            JSON,
            r#"{"metadata":{"name":"e"},"spec":{"replicas":1}}"#,
            400,
            "the name of the object (e) does not match the name on the URL (d)",
        ),
        (
            Method::POST,
            &binding,
            JSON,
            r#"{"target":{"name":"n"}}"#,
            400,
            "name in URL does not match name in Binding object",
        ),
        (
            Method::POST,
            &eviction,
            JSON,
            r#"{"metadata":{"name":"q"}}"#,
            400,
            "name in URL does not match name in Eviction object",
        ),
        (Method::PATCH, &new, APPLY, r#"{"kind":"ConfigMap"}"#, 500, "invalid object type: /, Kind=ConfigMap"),
        (
            Method::PATCH,
            &new,
            APPLY,
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"new","resourceVersion":"5"}}"#,
            409,
            "the object has been modified",
        ),
        (
            Method::PATCH,
            &new,
            APPLY,
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"new"},"foo":1}"#,
            500,
            "failed to create typed patch object (/new; /v1, Kind=ConfigMap): .foo: field not declared in schema",
        ),
    ])
    .await;
}

#[tokio::test]
async fn patches_and_scales_that_do_not_fit() {
    let map = format!("{MAPS}/a");
    let scale = format!("{DEPLOYMENTS}/d/scale");
    let rejected = "the server rejected our request due to an error in our request";
    check(&[
        (Method::PATCH, &map, JSON_PATCH, r#"[{"op":"remove","path":"/data/none"}]"#, 422, rejected),
        (Method::PATCH, &map, JSON_PATCH, r#"[{"op":"test","path":"/data/k","value":"w"}]"#, 422, rejected),
        (Method::PATCH, &map, JSON_PATCH, r#"[{"op":"jump","path":"/data/k"}]"#, 422, rejected),
        (
            Method::PATCH,
            &map,
            JSON_PATCH,
            "{}",
            400,
            "cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (Method::PATCH, &map, MERGE, "[]", 400, "cannot unmarshal array into Go value of type map[string]interface {}"),
        (
            Method::PUT,
            &scale,
            JSON,
            r#"{"metadata":{"name":"d"},"spec":{"replicas":-2}}"#,
            422,
            "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -2: must be greater than or equal to 0",
        ),
        (
            Method::PATCH,
            &scale,
            MERGE,
            r#"{"spec":{"replicas":"x"}}"#,
            422,
            "json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32",
        ),
        (Method::PATCH, &scale, MERGE, r#"{"spec":{"replicas":3}}"#, 200, ""),
    ])
    .await;
}

#[tokio::test]
async fn deletes_that_make_no_sense() {
    let map = format!("{MAPS}/a");
    let grace = format!("{MAPS}/a?gracePeriodSeconds=x");
    check(&[
        (Method::DELETE, &map, JSON, r#"{"preconditions":{"uid":"z"}}"#, 409, "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (z) does not match the UID in record ("),
        (Method::DELETE, &map, JSON, r#"{"preconditions":{"resourceVersion":"1"}}"#, 409, "The object might have been modified"),
        (Method::DELETE, &map, JSON, r#"{"propagationPolicy":"Foo"}"#, 422, "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""),
        (Method::DELETE, &map, JSON, r#"{"propagationPolicy":"Orphan","orphanDependents":true}"#, 422, "orphanDependents and deletionPropagation cannot be both set"),
        (Method::DELETE, &map, JSON, r#"{"dryRun":["x"]}"#, 422, "dryRun: Unsupported value: [\"x\"]: supported values: \"All\""),
        (Method::DELETE, &map, JSON, "{bad", 400, "couldn't get version/kind; json parse error: "),
        (Method::DELETE, &grace, JSON, "", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (Method::DELETE, "/api/v1/namespaces", JSON, "", 405, "the server does not allow this method on the requested resource"),
    ])
    .await;
}

#[tokio::test]
async fn reads_and_paths_that_lead_nowhere() {
    let selector = |of: &str, field: &str| format!("/api/v1/{of}?fieldSelector={field}%3Dx");
    let limits = [format!("{MAPS}?limit=x"), format!("{MAPS}?limit=-1"), format!("{MAPS}?continue=foo")];
    let map = format!("{MAPS}/a");
    check(&[
        (Method::GET, &selector("pods", "foo"), JSON, "", 400, "field label not supported: foo"),
        (
            Method::GET,
            &selector("nodes", "metadata.namespace"),
            JSON,
            "",
            400,
            "field label not supported: metadata.namespace",
        ),
        (
            Method::GET,
            &selector("configmaps", "data.k"),
            JSON,
            "",
            400,
            "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        (Method::GET, &limits[0], JSON, "", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (Method::GET, &limits[1], JSON, "", 200, ""),
        (Method::GET, &limits[2], JSON, "", 400, "invalid continue token: continue key is not valid"),
        (Method::HEAD, &map, JSON, "", 405, ""),
        (Method::GET, ACCESS, JSON, "", 405, "the server does not allow this method on the requested resource"),
        (
            Method::POST,
            ACCESS,
            JSON,
            r#"{"spec":{}}"#,
            422,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (Method::GET, "/api/v1/foo", JSON, "", 404, "the server could not find the requested resource"),
        (Method::GET, "/apis/foo/v1/bar", JSON, "", 404, "404 page not found"),
        (Method::GET, "/foo", JSON, "", 404, "404 page not found"),
        (Method::GET, "/readyz/foo", JSON, "", 404, "404 page not found"),
        (Method::GET, "/livez/ping", JSON, "", 200, "ok"),
    ])
    .await;
}

#[tokio::test]
async fn objects_that_lack_what_they_need() {
    let big = json!({"metadata": {"name": "big"}, "data": {"k": "x".repeat(1_100_000)}}).to_string();
    check(&[
        (Method::POST, MAPS, JSON, &big, 422, "ConfigMap \"big\" is invalid: []: Too long: may not be more than 1048576 bytes"),
        (Method::POST, DEPLOYMENTS, JSON, r#"{"metadata":{"name":"e"},"spec":{}}"#, 422, "is invalid: [spec.selector: Required value, spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`, spec.template.spec.containers: Required value]"),
        (Method::POST, SERVICES, JSON, r#"{"metadata":{"name":"s"},"spec":{"clusterIP":"1.2.3.4","ports":[{"port":80}]}}"#, 422, "failed to allocate IP 1.2.3.4: the provided network does not match the current range"),
    ])
    .await;
}

#[tokio::test]
async fn a_pod_may_be_replaced_by_what_its_client_wrote_at_first() {
    let server = server().await;
    let spec = json!({"containers": [{"name": "c", "image": "other"}]});
    let answer = server.put(&format!("{PODS}/p"), &json!({"metadata": {"name": "p"}, "spec": spec})).await;
    // The volume of the token is missing, the tolerations are not.
    let (_, _, message) = answer.refusal();
    assert!(!message.contains("spec.tolerations:"), "{message}");
}

#[tokio::test]
async fn answers_are_of_the_kinds_that_clients_expect() {
    let server = server().await;
    let review = server.post(ACCESS, &json!({"spec": {"resourceAttributes": {"verb": "get"}}})).await.ok();
    assert_eq!(
        (&review["kind"], &review["apiVersion"]),
        (&json!("SelfSubjectAccessReview"), &json!("authorization.k8s.io/v1"))
    );
    server.post(SERVICES, &json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})).await.ok();
    for (path, kind) in
        [(format!("{SERVICES}/s"), "Service"), (format!("{PODS}/p"), "Pod"), (format!("{MAPS}/a"), "Status")]
    {
        assert_eq!(server.delete(&path, &json!({})).await.ok()["kind"], kind, "{path}");
    }
    let endpoints = server.get("/api/v1/endpoints").await;
    let warning = "299 - \"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\"";
    assert_eq!(endpoints.headers["warning"], warning);
}

#[tokio::test]
async fn a_pod_that_is_going_goes_sooner_and_is_the_same_generation() {
    let server = server().await;
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    server.post(&format!("{PODS}/p/binding"), &binding).await.ok();
    let first = server.delete(&format!("{PODS}/p"), &json!({"gracePeriodSeconds": 5})).await.ok();
    let sooner = server.delete(&format!("{PODS}/p"), &json!({"gracePeriodSeconds": 2})).await.ok();
    assert_eq!((&first["metadata"]["generation"], &sooner["metadata"]["generation"]), (&json!(2), &json!(2)));
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 2);
    let managers = sooner["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().all(|manager| manager["subresource"] != "binding"), "a binding has no manager");
}

#[tokio::test]
async fn metadata_of_one_are_not_metadata_of_many() {
    let server = server().await;
    let accept = |what: &str| [("accept", format!("application/json;as={what};v=v1;g=meta.k8s.io"))];
    for (path, what, expected) in [
        (format!("{MAPS}/a"), "PartialObjectMetadata", Ok("PartialObjectMetadata")),
        (MAPS.to_owned(), "PartialObjectMetadataList", Ok("PartialObjectMetadataList")),
        (MAPS.to_owned(), "Table", Ok("Table")),
        (
            format!("{MAPS}/a"),
            "PartialObjectMetadataList",
            Err("you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)"),
        ),
        (
            DEPLOYMENTS.to_owned(),
            "PartialObjectMetadata",
            Err("you requested PartialObjectMetadata, but the requested object is a list (*apps.DeploymentList)"),
        ),
    ] {
        let headers = accept(what);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = server.send(Method::GET, &path, &headers, String::new()).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        match expected {
            Ok(kind) => assert_eq!((answer.code.as_u16(), &body["kind"]), (200, &json!(kind)), "{path} as {what}"),
            Err(message) => {
                assert_eq!((answer.code.as_u16(), &body["message"]), (406, &json!(message)), "{path} as {what}");
            }
        }
    }
}

#[tokio::test]
async fn what_kubernetes_loses_on_the_way_is_lost_and_what_others_add_is_nobodys() {
    let server = server().await;
    let empty = json!({"name": "e", "labels": {}, "annotations": {}, "ownerReferences": [], "finalizers": []});
    let map = server.post(MAPS, &json!({"metadata": empty, "data": {}, "immutable": false})).await.ok();
    for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
        assert!(map["metadata"].get(field).is_none(), "{field} of {map}");
    }
    assert_eq!((map.get("data"), &map["immutable"]), (None, &json!(false)), "{map}");
    assert_eq!(map["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:immutable": {}}));

    // What is applied empty is owned, but not kept.
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: e, labels: {}}\ndata: {}\n";
    let path = format!("{MAPS}/e?fieldManager=m");
    let applied = server.send(Method::PATCH, &path, &[("content-type", APPLY)], config.to_owned()).await.ok();
    assert_eq!(applied.get("data"), None, "{applied}");
    let theirs = applied["metadata"]["managedFields"].as_array().unwrap().iter().find(|m| m["manager"] == "m");
    assert_eq!(theirs.unwrap()["fieldsV1"], json!({"f:data": {}, "f:metadata": {"f:labels": {}}}));

    let pod = server.get(&format!("{PODS}/p")).await.ok();
    assert!(pod["spec"]["volumes"].is_array(), "admission adds a volume: {pod}");
    let owned = pod["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].as_object().unwrap();
    assert!(owned.contains_key("f:containers") && !owned.contains_key("f:volumes"), "{owned:?}");
}
