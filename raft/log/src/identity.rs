//! Who a data folder belongs to: written before the first vote, and never again but by a recovery.

use std::fs;
use std::path::Path;

use crate::{Error, folder};

/// The file in the data folder.
const FILE: &str = "identity";

/// The member that a data folder is the memory of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Id of the cluster.
    pub cluster: String,
    /// Id of the member; 0 while the folder's owner has none yet.
    pub member: u64,
    /// Drawn when the folder was first used: tells a folder from one that was emptied and begun again.
    pub birth: u64,
}

impl Identity {
    /// Reads the identity of a data folder; `None` when it has none.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(text) => Self::parse(&String::from_utf8_lossy(&text)).map(Some).ok_or_else(|| Error::Damaged {
                what: "the identity of the data folder",
                detail: format!("{} does not read `cluster`, `member`, `birth`, and their checksum", path.display()),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file(&path)(error)),
        }
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        folder::replace(&folder.join(FILE), self.text().as_bytes())
    }

    /// With a checksum, for under another member's number this one would vote in its place.
    fn text(&self) -> String {
        let text = format!("cluster {}\nmember {}\nbirth {}\n", self.cluster, self.member, self.birth);
        let sum = crc32c::crc32c(text.as_bytes());
        format!("{text}checksum {sum:08x}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let identity = Self {
            cluster: field("cluster")?.to_owned(),
            member: field("member")?.parse().ok()?,
            birth: field("birth")?.parse().ok()?,
        };
        (identity.text() == text).then_some(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_remembers_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Identity::read(folder.path()).unwrap(), None);
        let identity = Identity { cluster: "c 1".to_owned(), member: 7, birth: 99 };
        identity.write(folder.path()).unwrap();
        assert_eq!(Identity::read(folder.path()).unwrap(), Some(identity));
        let file = folder.path().join(FILE);
        let right = fs::read(&file).unwrap();
        for byte in 0..right.len() {
            let mut bad = right.clone();
            bad[byte] ^= 1;
            fs::write(&file, bad).unwrap();
            assert!(Identity::read(folder.path()).is_err(), "byte {byte}");
        }
        fs::write(&file, "member 7\n").unwrap();
        assert!(Identity::read(folder.path()).is_err());
    }
}
