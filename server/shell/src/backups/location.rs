//! Where backups lie, as people write it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place for backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// `s3://bucket/prefix`
    S3 {
        /// The bucket.
        bucket: String,
        /// What the names of all objects begin with; empty, or ending in a slash.
        prefix: String,
    },
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() { Err("a place has a name".to_owned()) } else { Ok(Self::Folder(text.into())) };
        };
        if scheme != "s3" {
            return Err(format!("{scheme}:// is no place for backups: name a folder, or s3://bucket/prefix"));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("s3:// names no bucket".to_owned());
        }
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// One backup in a store: where it lies, and its name there.
///
/// # Errors
/// When it names no object of a bucket.
pub fn object(text: &str) -> Result<(Location, String), String> {
    let named = text.rsplit_once('/').filter(|(place, name)| place.len() > "s3://".len() && !name.is_empty());
    let (place, name) = named.ok_or_else(|| format!("{text} names no backup: s3://bucket/prefix/name is expected"))?;
    Ok((place.parse()?, name.to_owned()))
}

/// Whether something is to be looked for in a store, and not on the disk.
pub fn is_remote(text: &str) -> bool {
    text.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_folders_or_buckets() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text.parse::<Location>().ok().map(|place| place.to_string()).as_deref(), expected, "{text}");
        };
        check("/var/backups", Some("/var/backups"));
        check("s3://bucket", Some("s3://bucket/"));
        check("s3://bucket/a/b", Some("s3://bucket/a/b/"));
        check("s3://bucket/a//", Some("s3://bucket/a/"));
        check("s3://", None);
        check("ftp://host/a", None);
        check("", None);
    }

    #[test]
    fn a_backup_in_a_store_is_named_by_its_path() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = object(text).ok().map(|(place, name)| (place.to_string(), name));
            let expected = expected.map(|(place, name)| (place.to_owned(), name.to_owned()));
            assert_eq!(found, expected, "{text}");
        };
        check("s3://bucket/a/x.backup", Some(("s3://bucket/a/", "x.backup")));
        check("s3://bucket/x.backup", Some(("s3://bucket/", "x.backup")));
        check("s3://bucket/", None);
        check("s3://bucket", None);
    }
}
