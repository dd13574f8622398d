//! Chores on the tree: `cargo run -p tests-xtask -- definitions <_definitions.json>`.
//!
//! The input is the table of Kubernetes' schemas that the PyPI package kubernetes-validate ships for each version.

mod definitions;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["definitions", input] => definitions::write(input.as_ref()),
        _ => bail!("usage: xtask definitions <_definitions.json>"),
    }
}
