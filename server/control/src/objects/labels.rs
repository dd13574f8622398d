//! Labels.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// The labels of an object, sorted by key. Most objects have a handful: a map of them would be several times as large.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|(own, _)| (**own).cmp(key));
        found.ok().map(|at| &*self.0[at].1)
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        let mut all: Vec<(Box<str>, Box<str>)> = labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        all.sort_unstable();
        all.dedup_by(|later, kept| later.0 == kept.0);
        Self(all.into())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Labels, A::Error> {
                let mut all: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(4);
                while let Some(entry) = entries.next_entry()? {
                    all.push(entry);
                }
                Ok(all.into_iter().collect())
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_key_whatever_their_order_was() {
        let labels: Labels = serde_json::from_str(r#"{"b":"2","a":"1","c/d":""}"#).unwrap();
        let found: Vec<Option<&str>> = ["a", "b", "c/d", "e"].iter().map(|key| labels.get(key)).collect();
        assert_eq!(found, [Some("1"), Some("2"), Some(""), None]);
        assert_eq!(labels, [("c/d", ""), ("a", "1"), ("b", "2")].into_iter().collect());
    }
}
