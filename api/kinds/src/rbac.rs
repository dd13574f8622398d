//! Roles and their bindings (rbac.authorization.k8s.io/v1). Stored and judged; authorization does not read them yet.

use serde_json::{Value, json};

use crate::findings::{Findings, IMMUTABLE};
use crate::kind::{age, column, wide};
use crate::path::{Path, count, default_text, each_mut, has, items, part, text};
use crate::{Causes, Cell, Column, Kind, Scope, Strategy, names, selector};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Role.
pub static ROLE: Kind = Kind {
    group: GROUP,
    kind: "Role",
    plural: "roles",
    singular: "role",
    schema: "io.k8s.api.rbac.v1.Role",
    strategy: Strategy { validate: |role| rules(role, true).done(), create_on_update: true, ..Strategy::PLAIN },
    columns: ROLE_COLUMNS,
    cells: created_at,
    name_rule: names::path_segment,
    ..Kind::BASE
};

/// ClusterRole.
pub static CLUSTER_ROLE: Kind = Kind {
    group: GROUP,
    kind: "ClusterRole",
    plural: "clusterroles",
    singular: "clusterrole",
    scope: Scope::Cluster,
    schema: "io.k8s.api.rbac.v1.ClusterRole",
    strategy: Strategy { validate: cluster_role, create_on_update: true, ..Strategy::PLAIN },
    columns: ROLE_COLUMNS,
    cells: created_at,
    name_rule: names::path_segment,
    ..Kind::BASE
};

/// RoleBinding.
pub static ROLE_BINDING: Kind = Kind {
    group: GROUP,
    kind: "RoleBinding",
    plural: "rolebindings",
    singular: "rolebinding",
    schema: "io.k8s.api.rbac.v1.RoleBinding",
    strategy: Strategy {
        default: binding_defaults,
        validate: |binding| validate_binding(binding, &["Role", "ClusterRole"]),
        validate_update: keep_role,
        create_on_update: true,
        ..Strategy::PLAIN
    },
    columns: BINDING_COLUMNS,
    cells: binding_cells,
    name_rule: names::path_segment,
    ..Kind::BASE
};

/// ClusterRoleBinding.
pub static CLUSTER_ROLE_BINDING: Kind = Kind {
    group: GROUP,
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    scope: Scope::Cluster,
    schema: "io.k8s.api.rbac.v1.ClusterRoleBinding",
    strategy: Strategy {
        default: binding_defaults,
        validate: |binding| validate_binding(binding, &["ClusterRole"]),
        validate_update: keep_role,
        create_on_update: true,
        ..Strategy::PLAIN
    },
    columns: BINDING_COLUMNS,
    cells: binding_cells,
    name_rule: names::path_segment,
    ..Kind::BASE
};

const ROLE_COLUMNS: &[Column] = &[Column { name: "Created At", kind: "date", format: "", priority: 0 }];
const BINDING_COLUMNS: &[Column] =
    &[column("Role"), column("Age"), wide("Users"), wide("Groups"), wide("ServiceAccounts")];

fn created_at(object: &Value, _now_us: i64) -> Vec<Cell> {
    vec![object["metadata"]["creationTimestamp"].clone()]
}

fn rules(role: &Value, namespaced: bool) -> Findings {
    let mut findings = Findings::default();
    let list = Path::root("rules");
    for (index, rule) in items(role, "rules").iter().enumerate() {
        let at = list.index(index);
        if count(rule, "verbs") == 0 {
            findings.required(at.field("verbs"), "");
        }
        if count(rule, "nonResourceURLs") > 0 {
            let at = at.field("nonResourceURLs");
            if namespaced {
                let message = "namespaced rules cannot apply to non-resource URLs";
                findings.invalid(at, &rule["nonResourceURLs"], message);
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|field| count(rule, field) > 0) {
                let message = "rules cannot apply to both regular resources and non-resource URLs";
                findings.invalid(at, &rule["nonResourceURLs"], message);
            }
            continue;
        }
        if count(rule, "apiGroups") == 0 {
            findings.required(at.field("apiGroups"), "resource rules must supply at least one api group");
        }
        if count(rule, "resources") == 0 {
            findings.required(at.field("resources"), "resource rules must supply at least one resource");
        }
    }
    findings
}

fn cluster_role(role: &Value) -> Causes {
    let mut findings = rules(role, false);
    if has(role, "aggregationRule") {
        let list = Path::root("aggregationRule.clusterRoleSelectors");
        let selectors = items(&role["aggregationRule"], "clusterRoleSelectors");
        if selectors.is_empty() {
            findings.required(list, "at least one clusterRoleSelector required if aggregationRule is non-nil");
        }
        for (index, one) in selectors.iter().enumerate() {
            selector::validate(one, list.index(index), &mut findings);
        }
    }
    findings.done()
}

fn binding_defaults(binding: &mut Value) {
    if let Some(role) = part(binding, "roleRef") {
        default_text(role, "apiGroup", GROUP);
    }
    for subject in each_mut(binding, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            default_text(subject, "apiGroup", GROUP);
        }
    }
}

fn validate_binding(binding: &Value, kinds: &[&str]) -> Causes {
    let mut findings = Findings::default();
    let (role, at) = (&binding["roleRef"], Path::root("roleRef"));
    findings.one_of(at.field("apiGroup"), text(role, "apiGroup"), &[GROUP]);
    findings.one_of(at.field("kind"), text(role, "kind"), kinds);
    match text(role, "name") {
        "" => findings.required(at.field("name"), ""),
        name => findings.names(at.field("name"), name, names::path_segment(name)),
    }
    let list = Path::root("subjects");
    for (index, one) in items(binding, "subjects").iter().enumerate() {
        subject(one, kinds.contains(&"Role"), list.index(index), &mut findings);
    }
    findings.done()
}

fn subject(subject: &Value, namespaced: bool, at: Path<'_>, findings: &mut Findings) {
    let (name, group) = (text(subject, "name"), text(subject, "apiGroup"));
    if name.is_empty() {
        findings.required(at.field("name"), "");
    }
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                findings.names(at.field("name"), name, names::dns1123_subdomain(name));
            }
            if !group.is_empty() {
                findings.unsupported(at.field("apiGroup"), group, &[""]);
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                findings.required(at.field("namespace"), "");
            }
        }
        "User" | "Group" => findings.one_of(at.field("apiGroup"), group, &[GROUP]),
        other => findings.unsupported(at.field("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

fn keep_role(new: &Value, old: &Value) -> Causes {
    let mut findings = Findings::default();
    if new["roleRef"] != old["roleRef"] {
        findings.invalid(Path::root("roleRef"), &new["roleRef"], IMMUTABLE);
    }
    findings.done()
}

fn binding_cells(binding: &Value, now_us: i64) -> Vec<Cell> {
    let role = &binding["roleRef"];
    let of = |kind: &str| {
        let subjects = items(binding, "subjects").iter().filter(|s| text(s, "kind") == kind);
        let name = |s: &Value| match kind {
            "ServiceAccount" => format!("{}/{}", text(s, "namespace"), text(s, "name")),
            _ => text(s, "name").to_owned(),
        };
        json!(subjects.map(name).collect::<Vec<_>>().join(", "))
    };
    vec![
        format!("{}/{}", text(role, "kind"), text(role, "name")).into(),
        age(binding, now_us),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_judged_as_kubernetes_judges_them() {
        let check = |kind: &Kind, object: Value, expected: &[&str]| {
            let mut object = object;
            (kind.strategy.default)(&mut object);
            let found: Vec<String> = (kind.strategy.validate)(&object).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(&ROLE, json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}), &[]);
        check(
            &ROLE,
            json!({"rules": [{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}]}),
            &[
                "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules cannot apply to non-resource URLs",
            ],
        );
        check(
            &CLUSTER_ROLE,
            json!({"rules": [{"verbs": ["get"]}]}),
            &[
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        );
        check(
            &CLUSTER_ROLE_BINDING,
            json!({"roleRef": {"kind": "ClusterRole", "name": "admin"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]}),
            &["subjects[1].namespace: Required value"],
        );
        check(
            &CLUSTER_ROLE_BINDING,
            json!({"roleRef": {"kind": "Role", "name": "admin"}}),
            &["roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""],
        );
    }

    #[test]
    fn a_binding_keeps_its_role() {
        let binding = |name: &str| json!({"roleRef": {"kind": "Role", "name": name}});
        assert_eq!(keep_role(&binding("a"), &binding("a")), []);
        assert_eq!(
            keep_role(&binding("a"), &binding("b"))[0].to_string(),
            "roleRef: Invalid value: {\"kind\":\"Role\",\"name\":\"a\"}: field is immutable"
        );
    }
}
