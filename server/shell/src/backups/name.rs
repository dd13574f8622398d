//! Names of backups that are made by the clock: cluster, time, revision.

use api_kinds::time;

const ENDING: &str = ".backup";

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Id of the cluster, as far as it goes into a name.
    pub(super) cluster: String,
    /// When, seconds since 1970.
    pub(super) taken_s: u64,
    /// As of which the store is in it.
    pub(super) revision: u64,
}

impl Name {
    /// The name of a backup.
    pub(super) fn new(cluster: &str, taken_s: u64, revision: u64) -> Self {
        Self { cluster: plain(cluster), taken_s, revision }
    }

    /// Reads a name; `None` when no clock made it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_suffix(ENDING)?.rsplitn(3, '-');
        let (revision, at, cluster) = (parts.next()?, parts.next()?, parts.next()?);
        let (digits, is_plain) = (at.as_bytes(), at.is_ascii() && at.len() == 16);
        if !is_plain || digits[8] != b'T' || digits[15] != b'Z' {
            return None;
        }
        let date = format!("{}-{}-{}", &at[..4], &at[4..6], &at[6..8]);
        let taken_us = time::parse(&format!("{date}T{}:{}:{}Z", &at[9..11], &at[11..13], &at[13..15]))?;
        let taken_s = u64::try_from(taken_us).ok()? / 1_000_000;
        Some(Self { cluster: cluster.to_owned(), taken_s, revision: revision.parse().ok()? })
    }

    /// Whether it is of this cluster.
    pub(super) fn is_of(&self, cluster: &str) -> bool {
        self.cluster == plain(cluster)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = i64::try_from(self.taken_s).unwrap_or_default().saturating_mul(1_000_000);
        let at: String = time::rfc3339(us).chars().filter(|c| !matches!(c, '-' | ':')).collect();
        write!(f, "{}-{at}-{}{ENDING}", self.cluster, self.revision)
    }
}

/// What every file system and store takes.
fn plain(cluster: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    cluster.chars().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_cluster_time_and_revision() {
        let name = Name::new("prod-eu/1", 1_795_823_601, 42);
        assert_eq!(name.to_string(), "prod-eu_1-20261127T235321Z-42.backup");
        assert_eq!(Name::parse(&name.to_string()), Some(name.clone()));
        assert!(name.is_of("prod-eu/1") && !name.is_of("prod-eu"));
    }

    #[test]
    fn other_names_are_nobodys() {
        for text in
            ["today.backup", "a-20261127T235321Z-42", "a-20261127T2353211-4.backup", "a-é20261127T23532-1.backup", ""]
        {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
