//! StatefulSet.

use serde_json::{Value, json};

use super::{SPEC, at_most_all, count, number_or_percent, validate_collisions, validate_counts};
use crate::findings::Findings;
use crate::kind::{SCALE, age, column, set_generation, set_status, status, wide};
use crate::path::{default, default_text, each_mut, has, integer, items, part, set, text};
use crate::pod_template::{self, container_cells};
use crate::{Causes, Cell, Kind, Strategy, names, storage};

/// StatefulSet.
pub static STATEFUL_SET: Kind = Kind {
    group: "apps",
    kind: "StatefulSet",
    plural: "statefulsets",
    singular: "statefulset",
    short_names: &["sts"],
    categories: &["all"],
    schema: "io.k8s.api.apps.v1.StatefulSet",
    subresources: &[SCALE, status("StatefulSet")],
    strategy: Strategy {
        default: set_defaults,
        prepare_create: |object| {
            set_generation(object, 1);
            set_status(object, json!({"replicas": 0, "availableReplicas": 0}));
        },
        validate,
        validate_update,
        validate_status: |new, old| {
            let mut findings = Findings::default();
            let counts = [
                "replicas",
                "readyReplicas",
                "currentReplicas",
                "updatedReplicas",
                "availableReplicas",
                "observedGeneration",
                "collisionCount",
            ];
            let below = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
            validate_counts(new, &counts, &below, &mut findings);
            validate_collisions(new, old, &mut findings);
            findings.done()
        },
        ..Strategy::SPEC_AND_STATUS
    },
    columns: &[column("Ready"), column("Age"), wide("Containers"), wide("Images")],
    cells,
    name_rule: names::dns1123_label,
    ..Kind::BASE
};

fn set_defaults(object: &mut Value) {
    let Some(spec) = part(object, "spec") else { return };
    pod_template::default(spec);
    default_text(spec, "podManagementPolicy", "OrderedReady");
    default(spec, "updateStrategy", || json!({}));
    let strategy = &mut spec["updateStrategy"];
    if text(strategy, "type").is_empty() {
        set(strategy, "type", "RollingUpdate".into());
        default(strategy, "rollingUpdate", || json!({}));
    }
    if strategy["type"] == "RollingUpdate"
        && let Some(update) = part(strategy, "rollingUpdate")
    {
        default(update, "partition", || 0.into());
        default(update, "maxUnavailable", || 1.into());
    }
    default(spec, "persistentVolumeClaimRetentionPolicy", || json!({}));
    for event in ["whenDeleted", "whenScaled"] {
        default_text(&mut spec["persistentVolumeClaimRetentionPolicy"], event, "Retain");
    }
    default(spec, "replicas", || 1.into());
    default(spec, "revisionHistoryLimit", || 10.into());
    for claim in each_mut(spec, "volumeClaimTemplates") {
        default(claim, "apiVersion", || "v1".into());
        default(claim, "kind", || "PersistentVolumeClaim".into());
        storage::claim::set_defaults(claim);
    }
}

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let spec = &object["spec"];
    match text(spec, "podManagementPolicy") {
        "" => findings.required(SPEC.field("podManagementPolicy"), ""),
        "OrderedReady" | "Parallel" => {}
        other => findings.invalid(SPEC.field("podManagementPolicy"), other, "must be 'OrderedReady' or 'Parallel'"),
    }
    strategy(&spec["updateStrategy"], &mut findings);
    let retention = SPEC.field("persistentVolumeClaimRetentionPolicy");
    for event in ["whenDeleted", "whenScaled"] {
        let policy = text(&spec["persistentVolumeClaimRetentionPolicy"], event);
        findings.one_of(retention.field(event), policy, &["Retain", "Delete"]);
    }
    let list = SPEC.field("volumeClaimTemplates");
    for (index, claim) in items(spec, "volumeClaimTemplates").iter().enumerate() {
        storage::claim::validate_spec(&claim["spec"], list.index(index).field("spec"), &mut findings);
    }
    findings.non_negatives(SPEC, spec, &["replicas", "minReadySeconds"]);
    findings.non_negative(SPEC.field("ordinals.start"), &spec["ordinals"]["start"]);
    let service = text(spec, "serviceName");
    if !service.is_empty() {
        findings.names(SPEC.field("serviceName"), service, names::dns1123_label(service));
    }
    pod_template::validate_selector(spec, "statefulset", SPEC, &mut findings);
    let template = with_claims(spec);
    pod_template::validate_endless(&template, "StatefulSet", SPEC.field("template"), &mut findings);
    findings.done()
}

fn strategy(strategy: &Value, findings: &mut Findings) {
    let at = SPEC.field("updateStrategy");
    let (update, at_update) = (&strategy["rollingUpdate"], at.field("rollingUpdate"));
    match text(strategy, "type") {
        "" => findings.required(at, ""),
        "OnDelete" if has(strategy, "rollingUpdate") => {
            findings.invalid(at_update, update, "only allowed for updateStrategy 'RollingUpdate'");
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            findings.non_negative(at_update.field("partition"), &update["partition"]);
            if has(update, "maxUnavailable") {
                let (most, at) = (&update["maxUnavailable"], at_update.field("maxUnavailable"));
                if number_or_percent(most, at, findings) == 0 {
                    findings.invalid(at, most, "cannot be 0");
                }
                at_most_all(most, at, findings);
            }
        }
        _ => findings.invalid(at, strategy, "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

/// The template as its pods will have it: with a volume for each claim.
fn with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let claims = items(spec, "volumeClaimTemplates");
    let Some(pod) = part(&mut template, "spec") else { return template };
    for field in ["subdomain", "hostname"] {
        crate::path::remove(pod, field);
    }
    if claims.is_empty() {
        return template;
    }
    let name = |claim: &Value| text(&claim["metadata"], "name").to_owned();
    let mut volumes: Vec<Value> =
        claims.iter().map(name).map(|n| json!({"name": n, "persistentVolumeClaim": {"claimName": n}})).collect();
    let claimed: Vec<String> = claims.iter().map(name).collect();
    volumes.extend(items(pod, "volumes").iter().filter(|v| !claimed.iter().any(|n| n == text(v, "name"))).cloned());
    set(pod, "volumes", volumes.into());
    template
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    let (new, old) = (&new["spec"], &old["spec"]);
    for field in ["selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy"] {
        findings.immutable(SPEC.field(field), &new[field], &old[field]);
    }
    findings.done()
}

fn cells(object: &Value, now_us: i64) -> Vec<Cell> {
    let [containers, images] = container_cells(&object["spec"]);
    let ready = format!("{}/{}", count(object, "readyReplicas"), integer(&object["spec"], "replicas"));
    vec![ready.into(), age(object, now_us), containers, images]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Value {
        json!({"metadata": {"name": "db"}, "spec": {
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [
                {"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}}],
        }})
    }

    #[test]
    fn claims_are_volumes_of_the_template() {
        let mut object = database();
        set_defaults(&mut object);
        assert_eq!(validate(&object), []);
        let claim = &object["spec"]["volumeClaimTemplates"][0];
        assert_eq!(claim["kind"], "PersistentVolumeClaim");
        assert_eq!(claim["spec"]["volumeMode"], "Filesystem");
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
        assert_eq!(claim["status"]["phase"], "Pending");
        assert_eq!(
            object["spec"]["updateStrategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}})
        );
    }

    #[test]
    fn findings_are_worded_as_kubernetes_words_them() {
        let check = |change: fn(&mut Value), expected: &[&str]| {
            let mut object = database();
            change(&mut object["spec"]);
            set_defaults(&mut object);
            let found: Vec<String> = validate(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(
            |s| s["podManagementPolicy"] = json!("x"),
            &["spec.podManagementPolicy: Invalid value: \"x\": must be 'OrderedReady' or 'Parallel'"],
        );
        check(
            |s| s["volumeClaimTemplates"][0]["spec"]["resources"] = json!({}),
            &["spec.volumeClaimTemplates[0].spec.resources[storage]: Required value"],
        );
        check(
            |s| s["updateStrategy"] = json!({"type": "OnDelete", "rollingUpdate": {}}),
            &["spec.updateStrategy.rollingUpdate: Invalid value: {}: only allowed for updateStrategy 'RollingUpdate'"],
        );
    }

    #[test]
    fn what_pods_are_known_by_stays() {
        let mut new = database();
        new["spec"]["serviceName"] = json!("other");
        new["spec"]["replicas"] = json!(5);
        let found = validate_update(&new, &database());
        assert_eq!(found[0].to_string(), "spec.serviceName: Invalid value: \"other\": field is immutable");
        assert_eq!(found.len(), 1);
    }
}
