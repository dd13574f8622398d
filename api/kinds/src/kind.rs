//! What a kind says about itself.

use serde_json::Value;

use crate::Causes;
use crate::meta::NameRule;

/// A built-in kind. One `pub static` a kind, in that kind's file; [`crate::registry`] lists them.
#[derive(Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Served and stored version.
    pub version: &'static str,
    /// `Pod`
    pub kind: &'static str,
    /// `pods`: the resource's name in paths and storage keys.
    pub plural: &'static str,
    /// `pod`
    pub singular: &'static str,
    /// `po`
    pub short_names: &'static [&'static str],
    /// `all`
    pub categories: &'static [&'static str],
    /// Namespaced or cluster-wide.
    pub scope: Scope,
    /// Name of the schema in the definitions table: `io.k8s.api.core.v1.Pod`.
    pub schema: &'static str,
    /// `status`, `scale`, `binding`, `eviction`, `log` …
    pub subresources: &'static [Subresource],
    /// Verbs that discovery names; most kinds have [`ALL_VERBS`].
    pub verbs: &'static [&'static str],
    /// Behaviour at create and update.
    pub strategy: Strategy,
    /// Columns of the table after Name (which every table has first), before those of `-o wide`.
    pub columns: &'static [Column],
    /// The cells of one object, one per column; `now` in microseconds since the epoch.
    pub cells: fn(object: &Value, now_us: i64) -> Vec<Cell>,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`: label and how to read it.
    pub selectable: &'static [Selectable],
    /// What names must look like.
    pub name_rule: NameRule,
    /// Whether values are encrypted in every file (Secrets).
    pub sealed: bool,
}

/// A field that `fieldSelector` may name, and how to read it.
pub type Selectable = (&'static str, fn(&Value) -> String);

/// The verbs of an ordinary kind, in the order discovery prints them.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Scope of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `/api/v1/namespaces/<ns>/pods/<name>`
    Namespaced,
    /// `/api/v1/nodes/<name>`
    Cluster,
}

/// A subresource as discovery lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// `status`
    pub name: &'static str,
    /// Kind of what it takes and returns: `Pod` for `pods/status`, `Binding` for `pods/binding`, `Scale` for `…/scale`.
    pub kind: &'static str,
    /// Group and version of that kind when they differ from the parent's: (`autoscaling`, `v1`) for Scale.
    pub group_version: Option<(&'static str, &'static str)>,
    /// `get`, `patch`, `update`, `create`
    pub verbs: &'static [&'static str],
}

/// What happens to an object of the kind on its way in. Each function is pure and total.
#[derive(Clone, Copy, Debug)]
pub struct Strategy {
    /// Fills in defaults (Kubernetes' `SetDefaults_*`). Idempotent.
    pub default: fn(&mut Value),
    /// Before a create is validated: drop status, set `metadata.generation` …
    pub prepare_create: fn(&mut Value),
    /// Before an update through the main resource: keep the old status, bump `metadata.generation` when the spec changed …
    pub prepare_update: fn(new: &mut Value, old: &Value),
    /// Before an update through `/status`: keep everything but status (and what Kubernetes lets through).
    pub prepare_status: fn(new: &mut Value, old: &Value),
    /// Findings about a new object (and about the new form at each update); object metadata is validated generically.
    pub validate: fn(&Value) -> Causes,
    /// Further findings about an update: immutable fields and the like.
    pub validate_update: fn(new: &Value, old: &Value) -> Causes,
    /// Whether an update without `metadata.resourceVersion` is accepted.
    pub unconditional_update: bool,
    /// Whether PUT on a name that does not exist creates it.
    pub create_on_update: bool,
    /// The default grace of a delete in seconds: 30 for pods (read from the object there), `None` for kinds without grace.
    pub grace_period_s: fn(&Value) -> Option<i64>,
}

/// A column of a server-side table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Header, as kubectl prints it in capitals.
    pub name: &'static str,
    /// `string`, `integer`, `date`, `boolean`
    pub kind: &'static str,
    /// `name`, or empty.
    pub format: &'static str,
    /// Columns above 0 are shown with `-o wide` only.
    pub priority: i32,
}

/// One cell: a string, number or boolean.
pub type Cell = Value;

impl Strategy {
    /// A kind without defaults, status or rules of its own.
    pub const PLAIN: Self = Self {
        default: |_| {},
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status: |_, _| {},
        validate: |_| Causes::new(),
        validate_update: |_, _| Causes::new(),
        unconditional_update: true,
        create_on_update: false,
        grace_period_s: |_| None,
    };

    /// A kind with a spec whose changes bump the generation, and a status written through `/status` alone.
    pub const SPEC_AND_STATUS: Self = Self {
        prepare_create: |new| {
            drop_status(new);
            set_generation(new, 1);
        },
        prepare_update: |new, old| {
            keep_status(new, old);
            bump_generation(new, old);
        },
        prepare_status: keep_all_but_status,
        ..Self::PLAIN
    };
}

/// Removes the status of an object that is being created.
pub fn drop_status(new: &mut Value) {
    if let Value::Object(map) = new {
        map.shift_remove("status");
    }
}

/// The old status stands, whatever the new object says.
pub fn keep_status(new: &mut Value, old: &Value) {
    drop_status(new);
    if let (Value::Object(map), Some(status)) = (new, old.get("status")) {
        map.insert("status".to_owned(), status.clone());
    }
}

/// Everything but the status stands as it was; of metadata, labels and annotations of `/status` writes do not count.
pub fn keep_all_but_status(new: &mut Value, old: &Value) {
    let status = new.get("status").cloned();
    let version = new["metadata"].get("resourceVersion").cloned();
    let managed = new["metadata"].get("managedFields").cloned();
    *new = old.clone();
    let Value::Object(map) = new else { return };
    map.shift_remove("status");
    if let Some(status) = status {
        map.insert("status".to_owned(), status);
    }
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        for (name, value) in [("resourceVersion", version), ("managedFields", managed)] {
            if let Some(value) = value {
                metadata.insert(name.to_owned(), value);
            }
        }
    }
}

/// Sets `metadata.generation`.
pub fn set_generation(new: &mut Value, generation: i64) {
    if let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("generation".to_owned(), generation.into());
    }
}

/// Bumps `metadata.generation` when the spec has changed.
pub fn bump_generation(new: &mut Value, old: &Value) {
    let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
    let changed = new.get("spec") != old.get("spec");
    set_generation(new, generation + i64::from(changed));
}

/// A column of strings.
pub const fn column(name: &'static str) -> Column {
    Column { name, kind: "string", format: "", priority: 0 }
}

/// A column of integers.
pub const fn integer(name: &'static str) -> Column {
    Column { name, kind: "integer", format: "", priority: 0 }
}

/// A column of `-o wide`.
pub const fn wide(name: &'static str) -> Column {
    Column { name, kind: "string", format: "", priority: 1 }
}

/// The `status` subresource of a kind.
pub const fn status(kind: &'static str) -> Subresource {
    Subresource { name: "status", kind, group_version: None, verbs: &["get", "patch", "update"] }
}

/// The `scale` subresource.
pub const SCALE: Subresource = Subresource {
    name: "scale",
    kind: "Scale",
    group_version: Some(("autoscaling", "v1")),
    verbs: &["get", "patch", "update"],
};

/// The age of an object, the last column of most tables.
pub fn age(object: &Value, now_us: i64) -> Cell {
    crate::time::age(object["metadata"]["creationTimestamp"].as_str(), now_us).into()
}

impl Kind {
    /// Facts of a namespaced kind without anything special, to be overridden.
    pub const BASE: Self = Self {
        group: "",
        version: "v1",
        kind: "",
        plural: "",
        singular: "",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        schema: "",
        subresources: &[],
        verbs: ALL_VERBS,
        strategy: Strategy::PLAIN,
        columns: &[column("Age")],
        cells: |object, now_us| vec![age(object, now_us)],
        selectable: &[],
        name_rule: crate::names::dns1123_subdomain,
        sealed: false,
    };

    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `PodList`
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// Whether objects live in a namespace.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// The prefix of all keys of the kind: `/registry/<group>/<plural>/`, the core group written `core`.
    pub fn key_prefix(&self) -> String {
        let group = if self.group.is_empty() { "core" } else { self.group };
        format!("/registry/{group}/{}/", self.plural)
    }

    /// The key of one object; `namespace` is ignored for cluster-wide kinds.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        match self.scope {
            Scope::Namespaced => format!("{}{namespace}/{name}", self.key_prefix()),
            Scope::Cluster => format!("{}{name}", self.key_prefix()),
        }
    }
}
