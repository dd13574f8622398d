//! Binding: what `pods/binding` takes. Nothing is stored under it.

use serde_json::Value;

use crate::findings::Findings;
use crate::path::{Path, text};
use crate::{Causes, Kind, Strategy, names};

/// Binding.
pub static BINDING: Kind = Kind {
    kind: "Binding",
    plural: "bindings",
    singular: "binding",
    schema: "io.k8s.api.core.v1.Binding",
    verbs: &["create"],
    strategy: Strategy { validate, ..Strategy::PLAIN },
    ..Kind::BASE
};

fn validate(binding: &Value) -> Causes {
    let mut findings = Findings::default();
    let at = Path::root("target");
    let (kind, name) = (text(&binding["target"], "kind"), text(&binding["target"], "name"));
    if !kind.is_empty() && kind != "Node" {
        findings.unsupported(at.field("kind"), kind, &["Node", "<empty>"]);
    }
    if name.is_empty() {
        findings.required(at.field("name"), "");
    } else if kind.is_empty() || kind == "Node" {
        findings.names(at.field("name"), name, names::dns1123_subdomain(name));
    }
    findings.done()
}
