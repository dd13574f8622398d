//! IngressClass (networking.k8s.io/v1).

use serde_json::Value;

use crate::findings::Findings;
use crate::kind::{age, column, set_generation};
use crate::path::{Path, default, has, part, text};
use crate::{Causes, Kind, Scope, Strategy, names};

/// IngressClass.
pub static INGRESS_CLASS: Kind = Kind {
    group: "networking.k8s.io",
    kind: "IngressClass",
    plural: "ingressclasses",
    singular: "ingressclass",
    scope: Scope::Cluster,
    schema: "io.k8s.api.networking.v1.IngressClass",
    strategy: Strategy {
        default: |object| {
            if let Some(parameters) = part(object, "spec").and_then(|spec| part(spec, "parameters")) {
                default(parameters, "scope", || "Cluster".into());
            }
        },
        prepare_create: |object| set_generation(object, 1),
        prepare_update: crate::kind::bump_generation,
        validate,
        validate_update: |new, old| {
            let mut findings = Findings::default();
            let at = Path::root("spec.controller");
            findings.immutable(at, &new["spec"]["controller"], &old["spec"]["controller"]);
            findings.done()
        },
        ..Strategy::PLAIN
    },
    name_cell: Some(|object| {
        let name = text(&object["metadata"], "name");
        let default = text(&object["metadata"]["annotations"], "ingressclass.kubernetes.io/is-default-class") == "true";
        if default { format!("{name} (default)") } else { name.to_owned() }
    }),
    columns: &[column("Controller"), column("Parameters"), column("Age")],
    cells: |object, now_us| {
        vec![text(&object["spec"], "controller").into(), parameters(object).into(), age(object, now_us)]
    },
    ..Kind::BASE
};

const CONTROLLER_BYTES_MAX: usize = 250;

fn validate(object: &Value) -> Causes {
    let mut findings = Findings::default();
    let (spec, at) = (&object["spec"], Path::root("spec"));
    let (controller, at_controller) = (text(spec, "controller"), at.field("controller"));
    if controller.len() > CONTROLLER_BYTES_MAX {
        findings.too_long(at_controller, CONTROLLER_BYTES_MAX);
    }
    match controller.split_once('/') {
        _ if controller.is_empty() => findings.required(at_controller, ""),
        Some((host, path)) if !host.is_empty() && !path.is_empty() => {
            findings.names(at_controller, host, names::dns1123_subdomain(host));
        }
        _ => findings.invalid(at_controller, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
    let parameters = &spec["parameters"];
    if parameters.is_object() {
        let at = at.field("parameters");
        super::typed_reference(parameters, at, &mut findings);
        let scope = text(parameters, "scope");
        findings.one_of(at.field("scope"), scope, &["Cluster", "Namespace"]);
        match (scope, has(parameters, "namespace")) {
            ("Namespace", false) => {
                findings.required(at.field("namespace"), "`parameters.scope` is set to 'Namespace'");
            }
            ("Cluster", true) => findings.forbidden(at.field("namespace"), "`parameters.scope` is set to 'Cluster'"),
            _ => {}
        }
    }
    findings.done()
}

fn parameters(object: &Value) -> String {
    let parameters = &object["spec"]["parameters"];
    if !parameters.is_object() {
        return "<none>".to_owned();
    }
    let (kind, name) = (text(parameters, "kind"), text(parameters, "name"));
    match text(parameters, "apiGroup") {
        "" => format!("{kind}/{name}"),
        group => format!("{kind}.{group}/{name}"),
    }
}
