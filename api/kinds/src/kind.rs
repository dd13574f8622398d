//! What a kind says about itself.

use serde_json::{Value, json};

use crate::Causes;
use crate::equality::same;
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
    /// What the first column of the table, Name, shows; `None` where the table has no such column (Events). See
    /// [`Kind::table_columns`].
    pub name_cell: Option<fn(object: &Value) -> String>,
    /// The other columns of the table, with those of `-o wide`.
    pub columns: &'static [Column],
    /// The cells of one object, one per column of `columns`; `now` in microseconds since the epoch.
    pub cells: fn(object: &Value, now_us: i64) -> Vec<Cell>,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`: label and how to read it.
    pub selectable: &'static [Selectable],
    /// What names must look like.
    pub name_rule: NameRule,
    /// What every client of the kind is told: that there is something better.
    pub warning: Option<&'static str>,
    /// Whether a delete that is done at once answers with the object, and not with a Status.
    pub returns_deleted: bool,
    /// Whether values are encrypted in every file (Secrets).
    pub sealed: bool,
    /// For a kind that is another face of objects stored as some other kind (events.k8s.io Events are core Events).
    pub stored_as: Option<Conversion>,
}

/// How the objects of a kind become those of the kind that they are stored as, and back. Neither loses anything.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    /// The kind under whose keys, and in whose form, objects are stored.
    pub storage: &'static Kind,
    /// From the served form to the stored one.
    pub to_storage: fn(&mut Value),
    /// From the stored form to the served one.
    pub from_storage: fn(&mut Value),
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

/// What happens to an object of the kind on its way in, in Kubernetes' order: `default`, mutating admission, `default`
/// again, then `prepare_…`, then validation. Before `prepare_create` the metadata has its name, uid and
/// creationTimestamp; before `prepare_update` and `prepare_status` the server's own metadata (uid, timestamps,
/// generation) is that of the old object. Each function is pure and total.
#[derive(Clone, Copy, Debug)]
pub struct Strategy {
    /// Fills in defaults (Kubernetes' `SetDefaults_*`). Idempotent.
    pub default: fn(&mut Value),
    /// Before a create is validated: drop status, set `metadata.generation` …
    pub prepare_create: fn(&mut Value),
    /// Before an update through the main resource: keep the old status, bump `metadata.generation` when the spec changed …
    pub prepare_update: fn(new: &mut Value, old: &Value),
    /// Before an update through `/status`: keep everything but status and metadata (and what Kubernetes lets through).
    pub prepare_status: fn(new: &mut Value, old: &Value),
    /// Findings about a new object (and about the new form at each update); object metadata is validated generically.
    pub validate: fn(&Value) -> Causes,
    /// Further findings about an update: immutable fields and the like.
    pub validate_update: fn(new: &Value, old: &Value) -> Causes,
    /// Findings about an object that is being created, beyond `validate`.
    pub validate_create: fn(&Value) -> Causes,
    /// Findings about an update through `/status`, in place of the two above.
    pub validate_status: fn(new: &Value, old: &Value) -> Causes,
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
        validate_create: |_| Causes::new(),
        validate_update: |_, _| Causes::new(),
        validate_status: |_, _| Causes::new(),
        unconditional_update: true,
        create_on_update: false,
        grace_period_s: |_| None,
    };

    /// A kind with a spec whose changes bump the generation, and a status written through `/status` alone.
    pub const SPEC_AND_STATUS: Self = Self {
        prepare_create: |new| {
            set_status(new, json!({}));
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

/// Gives an object that is being created its first status.
pub fn set_status(new: &mut Value, status: Value) {
    if let Value::Object(map) = new {
        map.insert("status".to_owned(), status);
    }
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

/// Everything but status and metadata stands as it was.
pub fn keep_all_but_status(new: &mut Value, old: &Value) {
    let (Value::Object(map), Value::Object(before)) = (new, old) else { return };
    let taken = |name: &str| matches!(name, "status" | "metadata");
    map.retain(|name, _| taken(name) || before.contains_key(name));
    for (name, value) in before.iter().filter(|(name, _)| !taken(name)) {
        map.insert(name.clone(), value.clone());
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
    let changed = !same(&new["spec"], &old["spec"]);
    set_generation(new, generation + i64::from(changed));
}

/// A column of strings.
pub const fn column(name: &'static str) -> Column {
    Column { name, kind: "string", format: "", priority: 0 }
}

/// A column of booleans.
pub const fn boolean(name: &'static str) -> Column {
    Column { name, kind: "boolean", format: "", priority: 0 }
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

/// The name of an object.
fn name_cell(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

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
        name_cell: Some(name_cell),
        columns: &[column("Age")],
        cells: |object, now_us| vec![age(object, now_us)],
        selectable: &[],
        name_rule: crate::names::dns1123_subdomain,
        warning: None,
        returns_deleted: false,
        sealed: false,
        stored_as: None,
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

    /// The columns of the kind's table.
    pub fn table_columns(&self) -> impl Iterator<Item = &Column> {
        const NAME: Column = Column { name: "Name", kind: "string", format: "name", priority: 0 };
        self.name_cell.map(|_| &NAME).into_iter().chain(self.columns)
    }

    /// The cells of an object, one per column of [`Kind::table_columns`]; `now` in microseconds since the epoch.
    pub fn table_cells(&self, object: &Value, now_us: i64) -> Vec<Cell> {
        let mut cells: Vec<Cell> = self.name_cell.map(|show| show(object).into()).into_iter().collect();
        cells.extend((self.cells)(object, now_us));
        cells
    }

    /// The prefix of all keys of the kind: `/registry/<group>/<plural>/`, the core group written `core`; that of the kind
    /// it is stored as, if any.
    pub fn key_prefix(&self) -> String {
        if let Some(conversion) = &self.stored_as {
            return conversion.storage.key_prefix();
        }
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
