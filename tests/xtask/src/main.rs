//! Chores on the tree: `cargo run -p tests-xtask -- definitions <_definitions.json>` and `… numbers <folder> <version>`.
//!
//! The input of the first is the table of Kubernetes' schemas that the PyPI package kubernetes-validate ships for each
//! version; that of the second a folder of Go modules, such as `$(go env GOMODCACHE)/k8s.io`.

mod definitions;
mod numbers;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["definitions", input] => definitions::write(input.as_ref()),
        ["numbers", modules, version] => numbers::write(modules.as_ref(), version),
        _ => bail!("usage: xtask definitions <_definitions.json> | numbers <folder> <version>"),
    }
}
