//! What a path names.

use api_kinds::{Kind, registry};

/// A path under `/api` or `/apis`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) plural: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) subresource: &'a str,
    /// The deprecated `/watch/` form.
    pub(crate) watch: bool,
}

impl<'a> Resource<'a> {
    /// Takes a path apart; `None` when it names no resource.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/');
        let (group, version) = match parts.next()? {
            "api" => ("", parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut rest: Vec<&str> = parts.collect();
        let watch = rest.first() == Some(&"watch") && rest.len() > 1;
        if watch {
            rest.remove(0);
        }
        let base = Self { group, version, plural: "", namespace: "", name: "", subresource: "", watch };
        let sub = |parts: &[&'a str]| if let [sub, ..] = parts { *sub } else { "" };
        match rest[..] {
            // A namespace's own subresources look like resources in it.
            ["namespaces", name, subresource @ ("status" | "finalize")] => {
                Some(Self { plural: "namespaces", name, subresource, ..base })
            }
            ["namespaces", namespace, plural] => Some(Self { namespace, plural, ..base }),
            ["namespaces", namespace, plural, name, ref more @ ..] if more.len() <= 1 => {
                Some(Self { namespace, plural, name, subresource: sub(more), ..base })
            }
            [plural] => Some(Self { plural, ..base }),
            [plural, name] => Some(Self { plural, name, ..base }),
            [plural, name, subresource] => Some(Self { plural, name, subresource, ..base }),
            _ => None,
        }
    }

    /// The kind that it names.
    pub(crate) fn kind(&self) -> Option<&'static Kind> {
        registry::by_resource(self.group, self.version, self.plural)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let check = |path: &str, expected: [&str; 6]| {
            let found =
                Resource::parse(path).map(|r| [r.group, r.version, r.plural, r.namespace, r.name, r.subresource]);
            assert_eq!(found, Some(expected), "{path}");
        };
        check("/api/v1/pods", ["", "v1", "pods", "", "", ""]);
        check("/api/v1/nodes/n1", ["", "v1", "nodes", "", "n1", ""]);
        check("/api/v1/nodes/n1/status", ["", "v1", "nodes", "", "n1", "status"]);
        check("/api/v1/namespaces/a", ["", "v1", "namespaces", "", "a", ""]);
        check("/api/v1/namespaces/a/finalize", ["", "v1", "namespaces", "", "a", "finalize"]);
        check("/apis/apps/v1/namespaces/a/deployments/d/scale", ["apps", "v1", "deployments", "a", "d", "scale"]);
        check("/api/v1/watch/namespaces/a/pods", ["", "v1", "pods", "a", "", ""]);
        for nothing in ["/", "/api", "/version", "/api/v1"] {
            assert_eq!(Resource::parse(nothing).map(|r| r.plural), None, "{nothing}");
        }
    }
}
