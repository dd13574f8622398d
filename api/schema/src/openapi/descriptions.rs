//! What types and fields are for: the texts that `kubectl explain` shows, from the committed `descriptions.txt`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Texts by type and field; the field is empty for what is said of a type as such. Lookups only.
struct Texts(BTreeMap<(String, &'static str), &'static str>);

/// Stands for types that say nothing of a field themselves.
const ANY: &str = "*";

fn texts() -> &'static Texts {
    static TEXTS: OnceLock<Texts> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let mut texts = BTreeMap::new();
        let mut owner = String::new();
        for line in include_str!("descriptions.txt").lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("T ") {
                Some(rest) => {
                    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                    owner = full(name);
                    texts.insert((owner.clone(), ""), text);
                }
                None => {
                    let (field, text) = line.split_once(' ').unwrap_or((line, ""));
                    texts.insert((owner.clone(), field), text);
                }
            }
        }
        Texts(texts)
    })
}

fn full(name: &str) -> String {
    match name.split_once('/') {
        Some(("a", rest)) => format!("io.k8s.api.{rest}"),
        Some(("m", rest)) => format!("io.k8s.apimachinery.pkg.{rest}"),
        _ => name.to_owned(),
    }
}

/// What a type is.
pub(super) fn of_type(name: &str) -> Option<&'static str> {
    texts().0.get(&(name.to_owned(), "")).copied()
}

/// What a field of a type is for.
pub(super) fn of_field(owner: &str, field: &'static str) -> Option<&'static str> {
    let find = |owner: &str| texts().0.get(&(owner.to_owned(), field)).copied();
    // A list's items are objects; other fields called items are what their types say.
    find(owner).or_else(|| find(ANY).filter(|_| field != "items" || owner.ends_with("List")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;

    #[test]
    fn everything_described_exists() {
        for (owner, field) in texts().0.keys().filter(|(owner, _)| owner != ANY) {
            let schema = Schema::named(owner).unwrap_or_else(|| panic!("no type {owner}"));
            assert!(field.is_empty() || schema.root.field(field).is_some(), "{owner} has no field {field}");
        }
    }

    #[test]
    fn every_kind_is_described_and_what_people_look_up_most_is_described_whole() {
        for kind in api_kinds::registry::KINDS {
            assert!(of_type(kind.schema).is_some(), "{}", kind.schema);
        }
        let whole = [
            "core.v1.Pod",
            "core.v1.Container",
            "core.v1.Probe",
            "core.v1.Service",
            "core.v1.ServiceSpec",
            "core.v1.ServicePort",
            "core.v1.ConfigMap",
            "core.v1.Secret",
            "core.v1.ServiceAccount",
            "core.v1.Namespace",
            "core.v1.Node",
            "core.v1.NodeSpec",
            "core.v1.Event",
            "coordination.v1.LeaseSpec",
            "discovery.v1.EndpointSlice",
            "apps.v1.DeploymentSpec",
            "apps.v1.DeploymentStatus",
            "apps.v1.ReplicaSetSpec",
            "apps.v1.ReplicaSetStatus",
        ];
        for name in whole {
            let schema = Schema::named(&format!("io.k8s.api.{name}")).unwrap();
            let unsaid = schema.root.fields().iter().map(crate::definitions::Field::name);
            let unsaid: Vec<&str> = unsaid.filter(|field| of_field(&schema.root.name, field).is_none()).collect();
            // New fields of Kubernetes that nobody looks up yet.
            let unsaid: Vec<&str> = unsaid.into_iter().filter(|field| *field != "restartPolicyRules").collect();
            assert_eq!(unsaid, Vec::<&str>::new(), "{name}");
        }
    }
}
