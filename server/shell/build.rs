//! How the binary is linked.

use std::process::Command;

/// The first glibc that loads packed relocations.
const GLIBC_WITH_RELR: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A position-independent binary of this size has 60,000 relative relocations. Packed they are 16 KB that every process
    // reads at its start, in place of 1.4 MB.
    if glibc().is_some_and(|version| version >= GLIBC_WITH_RELR) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc, when it compiles for itself.
fn glibc() -> Option<(u32, u32)> {
    let set = |name| std::env::var(name).ok();
    if set("HOST") != set("TARGET") {
        return None;
    }
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let said = String::from_utf8(said).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
