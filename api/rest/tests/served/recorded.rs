//! Requests that a kube-apiserver 1.37.2 was sent, and its answers: the same here, but for what is drawn or read off a clock.
//!
//! `recorded.jsonl` holds a request and its answer a line, in the order in which they were sent; `TRIREME_RECORDED` names another
//! such file. `tests/golden/record.py` makes them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::Server;

/// A request, and what came back.
#[derive(Deserialize)]
struct Recorded {
    name: String,
    method: String,
    path: String,
    #[serde(rename = "type")]
    media_type: Option<String>,
    accept: Option<String>,
    body: Value,
    code: u16,
    answer: Value,
    warnings: Vec<String>,
}

/// What differs from run to run.
const DRAWN: &[&str] = &["uid", "resourceVersion", "clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"];

/// Replaces what is drawn, and the present time; recorded requests name no year but 2020.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                let nothing = value.as_str().is_some_and(|text| text == "None" || text.is_empty());
                if DRAWN.contains(&name.as_str()) && !value.is_object() && !nothing {
                    *value = json!("drawn");
                } else {
                    normalise(value);
                }
            }
            // What a table says of its columns is for people, and in our own words.
            for column in map.get_mut("columnDefinitions").and_then(Value::as_array_mut).into_iter().flatten() {
                column["description"] = Value::Null;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::String(text) => {
            // A difference of two Go structs, for people too.
            if let Some(end) = text.find('\n') {
                text.truncate(end);
            }
            let is_age = text.strip_suffix('s').is_some_and(|number| number.parse::<u8>().is_ok());
            let time = text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
            if is_age || text.starts_with("10.96.") || (time && !text.starts_with("2020-")) {
                *text = "now".to_owned();
            } else if let Some(at) = text.find("kube-api-access-") {
                text.truncate(at + "kube-api-access-".len());
            }
        }
        _ => {}
    }
}

/// Every place where two values differ, as `path: expected -> found`.
fn differences(path: &str, expected: &Value, found: &Value, out: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let absent = json!("(absent)");
            let names: BTreeMap<&String, ()> = a.keys().chain(b.keys()).map(|name| (name, ())).collect();
            for name in names.into_keys() {
                let (a, b) = (a.get(name).unwrap_or(&absent), b.get(name).unwrap_or(&absent));
                differences(&format!("{path}/{name}"), a, b, out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}/{index}"), a, b, out);
            }
        }
        _ if expected == found => {}
        _ => out.push(format!("{path}: {expected} -> {found}")),
    }
}

async fn replay(server: &Server, mut recorded: Recorded) -> Vec<String> {
    let mut headers = Vec::new();
    headers.extend(recorded.media_type.as_deref().map(|value| ("content-type", value)));
    headers.extend(recorded.accept.as_deref().map(|value| ("accept", value)));
    headers.push(("user-agent", "test"));
    let method = Method::from_bytes(recorded.method.as_bytes()).unwrap();
    let body = if recorded.body.is_null() { String::new() } else { recorded.body.to_string() };
    let answer = server.send(method, &recorded.path, &headers, body).await;
    let mut found = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    normalise(&mut recorded.answer);
    normalise(&mut found);
    let mut out = Vec::new();
    differences("", &json!(recorded.code), &json!(answer.code.as_u16()), &mut out);
    differences("", &recorded.answer, &found, &mut out);
    let warnings: Vec<_> = answer.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    differences("/warnings", &json!(recorded.warnings), &json!(warnings), &mut out);
    out
}

#[tokio::test]
async fn answers_are_those_of_a_kube_apiserver() {
    let file = std::env::var_os("TRIREME_RECORDED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/served/recorded.jsonl"), PathBuf::from);
    let text = std::fs::read_to_string(file).unwrap();
    let server = Server::new().await;
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let recorded: Recorded = serde_json::from_str(line).unwrap();
        let name = recorded.name.clone();
        let differences = replay(&server, recorded).await;
        findings.extend(differences.into_iter().map(|difference| format!("{}: {name}: {difference}", index + 1)));
    }
    assert!(findings.is_empty(), "{} differences:\n{}", findings.len(), findings.join("\n"));
}
