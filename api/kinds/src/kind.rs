//! What a kind says about itself.

use serde_json::Value;

use crate::Causes;

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

impl Kind {
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
