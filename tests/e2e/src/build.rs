//! Builds of the binary under test: the present one, and the one before it.

use std::path::PathBuf;

use crate::cluster::binary;

/// Makes the present build one of the level before.
const LOWERED: [(&str, &str); 1] = [("TRIREME_LEVEL", "1")];

/// A binary, and what its environment has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Where it is.
    pub binary: PathBuf,
    /// Its environment.
    pub variables: Vec<(&'static str, &'static str)>,
}

impl Build {
    /// The binary under test.
    pub fn present() -> Self {
        Self { binary: binary(), variables: Vec::new() }
    }

    /// The same, which works as a build of the level before does: with one such member a cluster writes nothing new.
    pub fn lowered() -> Self {
        Self { variables: LOWERED.to_vec(), ..Self::present() }
    }

    /// The build before: `TRIREME_PREVIOUS` names its binary. Without it the binary under test plays it, at a lower level.
    pub fn previous() -> Self {
        match std::env::var_os("TRIREME_PREVIOUS") {
            Some(binary) => Self { binary: binary.into(), variables: Vec::new() },
            None => Self::lowered(),
        }
    }
}
