//! Who makes a request.

/// A user with groups, as a client certificate or a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `admin`, `system:node:n1`, `system:serviceaccount:kube-system:…`
    pub user: String,
    /// `system:masters`, `system:nodes` …
    pub groups: Vec<String>,
    /// Of a ServiceAccount; empty for what a certificate says.
    pub uid: String,
    /// What else the authenticator knows: key and value.
    pub extra: Vec<(String, String)>,
}

impl Identity {
    /// An authenticated user.
    pub fn new(user: impl Into<String>, groups: Vec<String>) -> Self {
        Self { user: user.into(), groups, ..Self::default() }
    }

    /// A component inside the leader's process.
    pub fn component(name: &str) -> Self {
        Self::new(format!("system:serviceaccount:kube-system:{name}"), vec!["system:masters".to_owned()])
    }

    /// Whether it belongs to a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node that it speaks for.
    pub fn node(&self) -> Option<&str> {
        self.user.strip_prefix("system:node:").filter(|_| self.is_in("system:nodes"))
    }
}
