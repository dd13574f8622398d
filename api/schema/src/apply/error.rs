//! Why an apply is refused.

use serde_json::Value;

use super::managers::{Entry, Operation};

/// A field that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Whose: `"kubectl-client-side-apply" using apps/v1`.
    pub owner: String,
    /// `.spec.replicas`
    pub field: String,
}

impl Conflict {
    pub(super) fn new(entry: &Entry<'_>, field: String) -> Self {
        let mut owner = format!("{:?}", entry.manager);
        if !entry.subresource.is_empty() {
            owner.push_str(&format!(" with subresource {:?}", entry.subresource));
        }
        if entry.operation == Operation::Update {
            owner.push_str(&format!(" using {}", entry.api_version));
        }
        Self { owner, field }
    }

    /// The message of the Status cause (reason `FieldManagerConflict`): `conflict with "a" using v1`.
    pub fn message(&self) -> String {
        format!("conflict with {}", self.owner)
    }
}

/// Why an apply is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Fields of other managers would change: 409, reason `Conflict`, one cause a field.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration does not fit the schema: 500 in Kubernetes; see [`ApplyError::of_object`].
    #[error("{0}")]
    Untyped(String),
    /// The configuration fits the schema but cannot be read: 500 in Kubernetes; see [`ApplyError::of_object`].
    #[error("{0}")]
    Inconvertible(String),
    /// The configuration has `metadata.managedFields`: 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsPresent,
}

impl ApplyError {
    /// The message of the Status; `object` is the configuration.
    pub fn of_object(&self, object: &Value) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let gvk = gvk(object);
        let metadata = &object["metadata"];
        let place = format!("{}/{}; {gvk}", text(&metadata["namespace"]), text(&metadata["name"]));
        match self {
            Self::Untyped(finding) => format!("failed to create typed patch object ({place}): {finding}"),
            Self::Inconvertible(finding) => format!(
                "failed to convert new object ({place}) to proper version: unable to convert unstructured object to {gvk}: {finding}"
            ),
            _ => self.to_string(),
        }
    }
}

/// Group, version and kind as Go prints them: `/v1, Kind=Pod`, `apps/v1, Kind=Deployment`.
pub fn gvk(object: &Value) -> String {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    format!("{group}/{version}, Kind={}", text("kind"))
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", only.owner, only.field);
    }
    let mut owners: Vec<&str> = conflicts.iter().map(|conflict| conflict.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    let mut lines = Vec::new();
    for owner in owners {
        lines.push(format!("conflicts with {owner}:"));
        lines.extend(conflicts.iter().filter(|c| c.owner == owner).map(|c| format!("- {}", c.field)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_read_as_kubernetes_writes_them() {
        let conflict = |owner: &str, field: &str| Conflict { owner: owner.to_owned(), field: field.to_owned() };
        let one = conflict("\"kubectl\" using apps/v1", ".spec.replicas");
        assert_eq!(
            ApplyError::Conflicts(vec![one.clone()]).to_string(),
            "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas"
        );
        let several = vec![one, conflict("\"a\"", ".spec.x"), conflict("\"kubectl\" using apps/v1", ".spec.y")];
        assert_eq!(
            ApplyError::Conflicts(several).to_string(),
            "Apply failed with 3 conflicts: conflicts with \"a\":\n- .spec.x\nconflicts with \"kubectl\" using apps/v1:\n- .spec.replicas\n- .spec.y"
        );
    }
}
