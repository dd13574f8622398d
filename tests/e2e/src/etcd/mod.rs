//! etcd beside Trireme: its binaries where they are at hand, three members of it, and scripts of etcdctl commands.

mod normalise;
mod peer;
mod script;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use peer::Etcd;
pub use script::{Subject, check, compare, record};

/// A binary of the peers: in the folder that `TRIREME_PEERS` names, or on the path.
pub fn binary(name: &str) -> Option<PathBuf> {
    let folders = std::env::var("TRIREME_PEERS").into_iter().chain(std::env::var("PATH"));
    let folders: Vec<String> =
        folders.flat_map(|list| list.split(':').map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    paths.find(|path| path.exists() && is_of_the_release(name, path))
}

/// Whether it is of the release whose answers are recorded: an older one, as Debian has it, prints something else.
fn is_of_the_release(name: &str, path: &Path) -> bool {
    let question = match name {
        "etcd" => "--version",
        "etcdctl" => "version",
        _ => return true,
    };
    let answer = Command::new(path).arg(question).output();
    answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.stdout).to_lowercase().contains("version: 3.7."))
}
