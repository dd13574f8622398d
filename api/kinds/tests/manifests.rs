//! Manifests as people write them are taken unchanged: defaults fill them up, nothing is found wrong with them, nothing
//! that was said is lost, and saying it again changes nothing.

use api_kinds::{Causes, Kind, meta, registry};
use serde_json::{Value, json};

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("a manifest is YAML")
}

/// What the API makes of a new object, short of what admission adds.
fn create(kind: &Kind, manifest: &Value) -> Value {
    let mut object = manifest.clone();
    if kind.namespaced() {
        object["metadata"]["namespace"] = "shop".into();
    }
    object["metadata"]["uid"] = "00000000-0000-0000-0000-000000000001".into();
    object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    (kind.strategy.default)(&mut object);
    (kind.strategy.prepare_create)(&mut object);
    if kind.kind == "Pod" {
        object["spec"]["serviceAccountName"] = "default".into();
        (kind.strategy.default)(&mut object);
    }
    object
}

fn findings(kind: &Kind, object: &Value) -> Vec<String> {
    let mut causes: Causes = meta::validate(kind, object);
    causes.extend((kind.strategy.validate)(object));
    causes.iter().map(ToString::to_string).collect()
}

/// Whether everything that `said` says stands in `made`. Quantities may be written otherwise.
fn stands(said: &Value, made: &Value) -> bool {
    match (said, made) {
        (Value::Object(said), made) => {
            said.iter().all(|(name, value)| name == "stringData" || stands(value, &made[name]))
        }
        (Value::Array(said), Value::Array(made)) => {
            said.len() <= made.len() && said.iter().zip(made).all(|(s, m)| stands(s, m))
        }
        (said, made) => {
            let amount = |v: &Value| api_kinds::quantity::Quantity::of_json(v);
            said == made || (amount(said).is_some() && amount(said) == amount(made))
        }
    }
}

fn check(text: &str) {
    for manifest in documents(text) {
        let name = format!("{} {}", manifest["kind"], manifest["metadata"]["name"]);
        let (version, kind) = (manifest["apiVersion"].as_str().unwrap(), manifest["kind"].as_str().unwrap());
        let kind = registry::by_kind(version, kind).unwrap_or_else(|| panic!("{name} is of no known kind"));
        let object = create(kind, &manifest);
        assert_eq!(findings(kind, &object), Vec::<String>::new(), "{name}");
        assert!(stands(&manifest, &object), "{name} came back as {object:#}");
        let mut again = object.clone();
        (kind.strategy.default)(&mut again);
        assert_eq!(again, object, "{name}: defaults of defaults");
        // A client that leaves out what the server filled in, or sends it back, changes nothing.
        let mut new = manifest.clone();
        new["metadata"] = object["metadata"].clone();
        for mut new in [new, object.clone()] {
            (kind.strategy.default)(&mut new);
            (kind.strategy.prepare_update)(&mut new, &object);
            let found: Vec<Value> = meta::validate_update(&new, &object)
                .into_iter()
                .chain((kind.strategy.validate_update)(&new, &object))
                .map(|cause| json!(cause.to_string()))
                .collect();
            // A Job's labels and selector, and a pod's account, are the server's: clients patch around them.
            if !matches!(kind.kind, "Job" | "Pod") {
                assert_eq!(found, Vec::<Value>::new(), "{name}");
                assert_eq!(new["metadata"]["generation"], object["metadata"]["generation"], "{name}");
            }
        }
        assert_eq!(kind.table_cells(&object, 0).len(), kind.table_columns().count(), "{name}");
    }
}

#[test]
fn a_web_server() {
    check(include_str!("manifests/nginx.yaml"));
}

#[test]
fn a_guestbook() {
    check(include_str!("manifests/guestbook.yaml"));
}

#[test]
fn a_shop() {
    check(include_str!("manifests/shop.yaml"));
}

#[test]
fn what_is_installed_beside() {
    check(include_str!("manifests/platform.yaml"));
}

#[test]
fn a_deployment_comes_back_as_from_any_cluster() {
    let manifest = &documents(include_str!("manifests/nginx.yaml"))[0];
    let object = create(registry::by_kind("apps/v1", "Deployment").unwrap(), manifest);
    assert_eq!(
        object["spec"],
        json!({
            "progressDeadlineSeconds": 600,
            "replicas": 3,
            "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "nginx"}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": {"app": "nginx"}},
                "spec": {
                    "containers": [{
                        "image": "nginx:1.29",
                        "imagePullPolicy": "IfNotPresent",
                        "name": "nginx",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }],
                    "dnsPolicy": "ClusterFirst",
                    "restartPolicy": "Always",
                    "schedulerName": "default-scheduler",
                    "securityContext": {},
                    "terminationGracePeriodSeconds": 30,
                },
            },
        })
    );
}
