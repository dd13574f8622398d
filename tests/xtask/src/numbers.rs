//! Derives `api/schema/src/protobuf/table.txt`: the protobuf field numbers of every built-in type.
//!
//! The source are the Go structs of k8s.io/api and k8s.io/apimachinery, for they alone say both faces of a field: its
//! number, its JSON name, and whether an empty value is shown in JSON. The `generated.proto` files beside them lack the
//! last two.
//!
//! One line a message (`T name`), under it one line a field: `number name flags…`. Flags: `*` behind a pointer, so that an
//! empty value differs from none; `!` shown in JSON although it is empty; `items` a list wrapped in a message of its own.
//! A name `~message` is a field of the wire only: what it holds are fields of the message around it in JSON.
//! Names are abbreviated as in `definitions/table.txt`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Messages by their full names.
type Messages = BTreeMap<String, Vec<Field>>;

struct Field {
    number: u32,
    /// JSON name; `~` and a full name where the message is inlined.
    name: String,
    go_type: String,
    shown_empty: bool,
}

/// Writes the table from a folder that holds `api@<version>` and `apimachinery@<version>`, as the Go module cache does.
pub(crate) fn write(modules: &Path, version: &str) -> Result<()> {
    let mut messages = Messages::new();
    let mut wrapped = Vec::new();
    let api = modules.join(format!("api@{version}"));
    for group in folders(&api)? {
        for release in folders(&group)? {
            let package = format!("a/{}.{}", last(&group), last(&release));
            read_package(&release, &package, &mut messages, &mut wrapped)?;
        }
    }
    let machinery = modules.join(format!("apimachinery@{version}/pkg/apis/meta/v1"));
    read_package(&machinery, "m/apis.meta.v1", &mut messages, &mut wrapped)?;
    let wanted = wanted(&messages)?;
    let mut table = format!(
        "# Protobuf field numbers of Kubernetes' built-in types. Made by `cargo run -p tests-xtask -- numbers <folder> {version}`\n\
         # from the Go modules k8s.io/api and k8s.io/apimachinery; the format is described there.\n"
    );
    for (name, fields) in messages.iter().filter(|(name, _)| wanted.contains(*name)) {
        writeln!(table, "T {name}")?;
        for field in fields {
            write!(table, "{} {}", field.number, field.name)?;
            if field.go_type.starts_with('*') {
                table.push_str(" *");
            }
            if field.shown_empty {
                table.push_str(" !");
            }
            let item = field.go_type.rsplit(']').next().unwrap_or_default();
            if wrapped.iter().any(|name| name == item) {
                table.push_str(" items");
            }
            table.push('\n');
        }
    }
    let output = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/schema/src/protobuf/table.txt");
    fs::write(&output, table).with_context(|| format!("writing {}", output.display()))
}

/// The messages of the types that `definitions/table.txt` has, and those inlined in them.
fn wanted(messages: &Messages) -> Result<BTreeSet<String>> {
    let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/schema/src/definitions/table.txt");
    let text = fs::read_to_string(&definitions).with_context(|| format!("reading {}", definitions.display()))?;
    let types = text.lines().filter_map(|line| line.strip_prefix("T ")?.split(' ').next());
    let mut todo: Vec<String> = types.map(str::to_owned).collect();
    let mut wanted = BTreeSet::new();
    while let Some(name) = todo.pop() {
        let fields = messages.get(&name).into_iter().flatten();
        todo.extend(fields.filter_map(|field| field.name.strip_prefix('~').map(str::to_owned)));
        wanted.insert(name);
    }
    Ok(wanted)
}

fn last(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn folders(under: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(under).with_context(|| format!("reading {}", under.display()))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|path| path.is_dir()).collect();
    found.sort();
    Ok(found)
}

/// Reads the structs of a Go package. `wrapped` collects the named list types, which protobuf wraps in messages.
fn read_package(folder: &Path, package: &str, messages: &mut Messages, wrapped: &mut Vec<String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|path| {
        let name = last(path);
        name.starts_with("types") && name.ends_with(".go") && !name.contains("swagger")
    });
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let mut open: Option<String> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("type ") {
                let mut words = rest.split(' ');
                let name = words.next().unwrap_or_default();
                match words.next() {
                    Some("struct") => open = Some(format!("{package}.{name}")),
                    Some("[]string") => wrapped.push(name.to_owned()),
                    _ => {}
                }
            } else if line == "}" {
                open = None;
            } else if let Some(message) = &open
                && let Some(field) = field(line, package).with_context(|| format!("{message}: {line}"))?
            {
                messages.entry(message.clone()).or_default().push(field);
            }
        }
    }
    for fields in messages.values_mut() {
        fields.sort_by_key(|field| field.number);
    }
    Ok(())
}

/// A struct's field from its line; `None` for comments and for what protobuf does not carry.
fn field(line: &str, package: &str) -> Result<Option<Field>> {
    let line = line.trim();
    let Some((declared, tags)) = line.split_once('`').filter(|_| !line.starts_with("//")) else { return Ok(None) };
    let Some(wire) = tag(tags, "protobuf").filter(|wire| *wire != "-") else { return Ok(None) };
    let number = wire.split(',').nth(1).context("no number")?.parse()?;
    let json = tag(tags, "json").unwrap_or_default();
    let (name, options) = json.split_once(',').unwrap_or((json, ""));
    let declared: Vec<&str> = declared.split_whitespace().collect();
    let (name, go_type) = match (name, &declared[..]) {
        ("", [embedded]) => {
            if embedded.contains('.') {
                bail!("an embedded message of another package");
            }
            (format!("~{package}.{embedded}"), (*embedded).to_owned())
        }
        ("", _) => bail!("a field without a JSON name"),
        (name, [.., go_type]) => (name.to_owned(), (*go_type).to_owned()),
        (_, []) => bail!("a field without a type"),
    };
    let shown_empty = !name.starts_with('~') && !options.split(',').any(|o| o == "omitempty" || o == "omitzero");
    Ok(Some(Field { number, name, go_type, shown_empty }))
}

/// The value of a struct tag.
fn tag<'a>(tags: &'a str, name: &str) -> Option<&'a str> {
    let from = tags.find(&format!("{name}:\""))? + name.len() + 2;
    tags[from..].split('"').next()
}
