//! etcd beside Trireme: its binaries where they are at hand, three members of it, and scripts of etcdctl commands.

mod normalise;
mod peer;
mod script;

use std::path::{Path, PathBuf};

pub use peer::Etcd;
pub use script::{Subject, check, compare, record};

/// A binary of the peers: in the folder that `TRIREME_PEERS` names, or on the path.
pub fn binary(name: &str) -> Option<PathBuf> {
    let folders = std::env::var("TRIREME_PEERS").into_iter().chain(std::env::var("PATH"));
    let folders: Vec<String> =
        folders.flat_map(|list| list.split(':').map(str::to_owned).collect::<Vec<_>>()).collect();
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}
