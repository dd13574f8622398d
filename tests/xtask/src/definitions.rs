//! Derives `api/schema/src/definitions/table.txt`: field names and facts of every built-in type, without descriptions.
//!
//! One line a type (`T name [atomic] [any|quantity|intorstring|time|microtime]`); under it one line for each of its
//! group-version-kinds (`g group version kind`), one for each union (`u discriminator field=Value…`), one for each field
//! (`f name type facts…`). `-` stands for nothing.
//!
//! Types: `s`tring, `b`oolean, `i`nt64, `w` (int32), `n`umber, `y` (bytes), `t`ime, `*` anything, `[…]` list, `{…}` map,
//! `@name` another type; `a/` and `m/` abbreviate the prefixes of the API's and the machinery's packages.
//!
//! Facts: `!` required, `set`, `map=keys`, `atomic`, `granular`, `key=merge key`, `merge`, `retain`, `replace`, `value` (the Go struct
//! holds it in place, not behind a pointer), `default=JSON`. The last two are not in the source: see [`held_in_place`] and
//! [`key_default`].

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

pub(crate) fn write(input: &Path) -> Result<()> {
    let text = fs::read_to_string(input).with_context(|| format!("reading {}", input.display()))?;
    let document: Value = serde_json::from_str(&text)?;
    let definitions = document["$defs"].as_object().context("no $defs")?;
    let mut names: Vec<&String> = definitions.keys().collect();
    names.sort();
    let mut table = String::from(
        "# Facts of Kubernetes' built-in types, v1.37. Made by `cargo run -p tests-xtask -- definitions <_definitions.json>`\n\
         # from PyPI's kubernetes-validate 1.37.0 (kubernetes-json-schema/v1.37.0-local); the format is described there.\n",
    );
    for name in names {
        definition(&mut table, name, &definitions[name])?;
    }
    let output = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/schema/src/definitions/table.txt");
    fs::write(&output, table).with_context(|| format!("writing {}", output.display()))
}

/// Names are long and alike.
fn short(name: &str) -> String {
    name.replace("io.k8s.apimachinery.pkg.", "m/").replace("io.k8s.api.", "a/")
}

fn definition(table: &mut String, name: &str, schema: &Value) -> Result<()> {
    write!(table, "T {}", short(name))?;
    if schema["x-kubernetes-map-type"] == "atomic" {
        table.push_str(" atomic");
    }
    let properties = schema["properties"].as_object();
    if properties.is_none()
        && let Some(scalar) = scalar(name)
    {
        write!(table, " {scalar}")?;
    }
    table.push('\n');
    for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
        let text = |field: &str| gvk[field].as_str().filter(|t| !t.is_empty()).unwrap_or("-").to_owned();
        writeln!(table, "g {} {} {}", text("group"), text("version"), text("kind"))?;
    }
    for union in schema["x-kubernetes-unions"].as_array().into_iter().flatten() {
        write!(table, "u {}", union["discriminator"].as_str().unwrap_or("-"))?;
        for (field, value) in union["fields-to-discriminateBy"].as_object().into_iter().flatten() {
            write!(table, " {field}={}", value.as_str().unwrap_or_default())?;
        }
        table.push('\n');
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (field, facts) in properties.into_iter().flatten() {
        write!(table, "f {field} {}", kind(facts))?;
        if required.contains(&field.as_str()) {
            table.push_str(" !");
        }
        field_facts(table, facts)?;
        let owner = name.rsplit('.').next().unwrap_or_default();
        if facts["$ref"].is_string() && held_in_place(owner, field) {
            table.push_str(" value");
        }
        if let Some(default) = key_default(owner, field) {
            write!(table, " default={default}")?;
        }
        table.push('\n');
    }
    Ok(())
}

fn field_facts(table: &mut String, facts: &Value) -> Result<()> {
    match facts["x-kubernetes-list-type"].as_str() {
        Some("set") => table.push_str(" set"),
        Some("map") => {
            let keys = facts["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
            write!(table, " map={}", keys.collect::<Vec<_>>().join(","))?;
        }
        Some("atomic") => table.push_str(" atomic"),
        _ if facts["x-kubernetes-map-type"] == "atomic" => table.push_str(" atomic"),
        _ if facts["x-kubernetes-map-type"] == "granular" && facts["$ref"].is_string() => table.push_str(" granular"),
        _ => {}
    }
    if let Some(key) = facts["x-kubernetes-patch-merge-key"].as_str() {
        write!(table, " key={key}")?;
    }
    for strategy in facts["x-kubernetes-patch-strategy"].as_str().unwrap_or_default().split(',') {
        match strategy {
            "merge" => table.push_str(" merge"),
            "retainKeys" => table.push_str(" retain"),
            "replace" => table.push_str(" replace"),
            _ => {}
        }
    }
    Ok(())
}

/// What a definition without properties is; `None` for a struct without fields.
fn scalar(name: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next().unwrap_or_default();
    Some(match last {
        "Quantity" => "quantity",
        "IntOrString" => "intorstring",
        "Time" => "time",
        "MicroTime" => "microtime",
        "RawExtension" | "FieldsV1" | "Patch" | "JSON" => "any",
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => "any",
        _ => return None,
    })
}

/// Whether Go holds a struct in place, so that an empty object has it. Matters to the ownership of fields: nobody comes to
/// own such a field itself by filling it. Not in the source; these are the fields with `default: {}` in the documents that a
/// kube-apiserver 1.37.2 serves under `/openapi/v3`.
fn held_in_place(owner: &str, field: &str) -> bool {
    match field {
        "metadata"
        | "spec"
        | "strategy"
        | "updateStrategy"
        | "jobTemplate"
        | "daemonEndpoints"
        | "kubeletEndpoint"
        | "nodeInfo"
        | "loadBalancer"
        | "involvedObject"
        | "deprecatedSource"
        | "regarding"
        | "roleRef"
        | "scaleTargetRef"
        | "state"
        | "lastState"
        | "userInfo"
        | "target"
        | "current"
        | "metric"
        | "describedObject"
        | "preferredVersion"
        | "names"
        | "acceptedNames"
        | "taint"
        | "pool"
        | "limitResponse"
        | "preference"
        | "podAffinityTerm"
        | "backend"
        | "priorityLevelConfiguration" => true,
        "status" => owner != "CustomResourceSubresources",
        "template" => owner != "ReplicationControllerSpec",
        "source" => matches!(owner, "Event" | "VolumeAttachmentSpec"),
        "resources" => matches!(owner, "Container" | "EphemeralContainer" | "PersistentVolumeClaimSpec"),
        "conditions" => owner == "Endpoint",
        "user" => owner == "TokenReviewStatus",
        "devices" => matches!(owner, "AllocationResult" | "ResourceClaimSpec"),
        "clientConfig" => matches!(owner, "MutatingWebhook" | "ValidatingWebhook"),
        "port" => owner == "IngressServiceBackend",
        "podSelector" => owner == "NetworkPolicySpec",
        "resource" => owner == "StorageVersionMigrationSpec",
        _ => false,
    }
}

/// Defaults of fields that list items are keyed by: an item without the field is keyed by the default. Lost in the source.
fn key_default(owner: &str, field: &str) -> Option<&'static str> {
    (field == "protocol" && matches!(owner, "ContainerPort" | "ServicePort")).then_some("\"TCP\"")
}

fn kind(facts: &Value) -> String {
    if let Some(reference) = facts["$ref"].as_str() {
        return format!("@{}", short(reference.rsplit('/').next().unwrap_or_default()));
    }
    let types = &facts["type"];
    let name = types.as_str().or_else(|| types[0].as_str()).unwrap_or_default();
    match (name, facts["format"].as_str().unwrap_or_default()) {
        ("string", "byte") => "y".to_owned(),
        ("string", "date-time") => "t".to_owned(),
        ("string", _) => "s".to_owned(),
        ("boolean", _) => "b".to_owned(),
        ("integer", "int32") => "w".to_owned(),
        ("integer", _) => "i".to_owned(),
        ("number", _) => "n".to_owned(),
        ("array", _) => format!("[{}]", kind(&facts["items"])),
        ("object", _) if facts["additionalProperties"].is_object() => {
            format!("{{{}}}", kind(&facts["additionalProperties"]))
        }
        _ => "*".to_owned(),
    }
}
