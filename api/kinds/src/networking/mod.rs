//! Kinds around networks.

pub mod endpoint_slice;
pub mod ingress;
pub mod ingress_class;
pub mod ip_address;
pub mod network_policy;
pub mod service_cidr;

use serde_json::Value;

use crate::findings::Findings;
use crate::names;
use crate::path::{Path, has, text};

/// Findings about a reference to an object by group, kind and name.
fn typed_reference(reference: &Value, at: Path<'_>, findings: &mut Findings) {
    if has(reference, "apiGroup") {
        let group = text(reference, "apiGroup");
        findings.names(at.field("apiGroup"), group, names::dns1123_subdomain(group));
    }
    for field in ["kind", "name"] {
        match text(reference, field) {
            "" => findings.required(at.field(field), ""),
            name => findings.names(at.field(field), name, names::path_segment(name)),
        }
    }
}
