//! Derives `api/schema/src/definitions.txt`: field names and facts of every built-in type, without descriptions.
//!
//! One line a type (`T name [atomic] [any|quantity|intorstring|time]`), one line for each of its group-version-kinds
//! (`g group version kind`), one line a field (`f name type facts…`). Types: `s`tring, `b`oolean, `i`nt64, `w` (int32),
//! `n`umber, `y` (bytes), `t`ime, `*` anything, `[…]` list, `{…}` map, `@name` another type. Facts: `!` required,
//! `set`, `map=keys`, `atomic`, `key=merge key`, `merge`, `retain`.

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
        "# Facts of Kubernetes' built-in types. Made by `cargo run -p tests-xtask -- definitions`; see there for the format.\n",
    );
    for name in names {
        definition(&mut table, name, &definitions[name])?;
    }
    let output = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/schema/src/definitions.txt");
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
    if properties.is_none() {
        write!(table, " {}", scalar(name, schema))?;
    }
    table.push('\n');
    for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
        let text = |field: &str| gvk[field].as_str().filter(|t| !t.is_empty()).unwrap_or("-").to_owned();
        writeln!(table, "g {} {} {}", text("group"), text("version"), text("kind"))?;
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (field, facts) in properties.into_iter().flatten() {
        write!(table, "f {field} {}", kind(facts))?;
        if required.contains(&field.as_str()) {
            table.push_str(" !");
        }
        match facts["x-kubernetes-list-type"].as_str() {
            Some("set") => table.push_str(" set"),
            Some("map") => {
                let keys =
                    facts["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
                write!(table, " map={}", keys.collect::<Vec<_>>().join(","))?;
            }
            _ => {}
        }
        if facts["x-kubernetes-map-type"] == "atomic" {
            table.push_str(" atomic");
        }
        if let Some(key) = facts["x-kubernetes-patch-merge-key"].as_str() {
            write!(table, " key={key}")?;
        }
        let strategies = facts["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
        for strategy in strategies.split(',') {
            match strategy {
                "merge" => table.push_str(" merge"),
                "retainKeys" => table.push_str(" retain"),
                _ => {}
            }
        }
        table.push('\n');
    }
    Ok(())
}

fn scalar(name: &str, schema: &Value) -> &'static str {
    if name.ends_with(".Quantity") {
        "quantity"
    } else if name.ends_with(".IntOrString") {
        "intorstring"
    } else if schema["format"] == "date-time" {
        "time"
    } else {
        "any"
    }
}

fn kind(facts: &Value) -> String {
    if let Some(reference) = facts["$ref"].as_str() {
        return format!("@{}", short(reference.trim_start_matches("#/$defs/")));
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
