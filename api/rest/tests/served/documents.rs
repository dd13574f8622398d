//! Documents about the API, and how long answers travel.

use std::io::Read;

use http::Method;
use serde_json::json;

use crate::server::Server;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const GZIP: (&str, &str) = ("accept-encoding", "gzip");

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_ask() {
    let server = Server::new().await;
    for (name, bytes) in [("a", 1_000), ("b", 200_000), ("c", 200_000)] {
        server.post(MAPS, &json!({"metadata": {"name": name}, "data": {"k": "x".repeat(bytes)}})).await.ok();
    }
    let protobuf = ("accept", "application/vnd.kubernetes.protobuf");
    let one = format!("{MAPS}/b");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);
    let cases: [Case<'_>; 7] = [
        (MAPS, &[GZIP], true),
        (MAPS, &[GZIP, protobuf], true),
        (MAPS, &[], false),
        (MAPS, &[("accept-encoding", "br, deflate")], false),
        (&one, &[GZIP], true),
        (&format!("{MAPS}/a"), &[GZIP], false),
        (&format!("{MAPS}?limit=1"), &[GZIP], false),
    ];
    for (path, headers, compressed) in cases {
        let answer = server.send(Method::GET, path, headers, "").await;
        let coding = answer.headers.get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(coding, compressed.then_some("gzip"), "{path} {headers:?}");
        if compressed {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut plain).unwrap();
            let without: Vec<(&str, &str)> = headers.iter().filter(|header| **header != GZIP).copied().collect();
            assert_eq!(plain, server.send(Method::GET, path, &without, "").await.body, "{path} {headers:?}");
            assert_eq!(answer.headers["vary"], "Accept-Encoding");
        }
    }
}

#[tokio::test]
async fn a_watch_is_never_compressed() {
    let server = Server::new().await;
    server.post(MAPS, &json!({"metadata": {"name": "a"}, "data": {"k": "x".repeat(200_000)}})).await.ok();
    let response = server.open(Method::GET, &format!("{MAPS}?watch=true"), &[GZIP], "").await;
    assert!(!response.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn openapi_is_served_in_the_forms_that_clients_ask_for() {
    let server = Server::new().await;
    let asked = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")];
    let swagger = server.send(Method::GET, "/openapi/v2", &asked, "").await;
    assert_eq!(swagger.content_type(), "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    assert!(swagger.body.starts_with(b"\x0a\x032.0"));
    assert_eq!(server.get("/openapi/v2").await.ok()["swagger"], "2.0");
    let index = server.get("/openapi/v3").await.ok();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let document = server.get(url).await;
    assert_eq!(document.headers["cache-control"], "public, max-age=31536000, immutable");
    let tag = document.headers["etag"].to_str().unwrap();
    let again = server.send(Method::GET, url, &[("if-none-match", tag)], "").await;
    assert_eq!((again.code.as_u16(), again.body.len()), (304, 0));
    assert_eq!(server.send(Method::GET, "/openapi/v2", &[("accept", "text/html")], "").await.code, 406);
}
