//! Network namespaces.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// A namespace, there as long as this value or a process in it.
pub(super) struct Namespace(File);

/// Moves the calling thread into namespaces of its own.
#[allow(unsafe_code, reason = "unshare(2) of namespaces, which no memory safety rests upon")]
pub(super) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    assert!(UnshareFlags::NEWNET.union(UnshareFlags::NEWNS).contains(namespaces), "only network and mounts");
    // SAFETY: of all flags only CLONE_FILES makes this call unsafe.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }.map_err(io::Error::from)
}

/// Runs a tool in the calling thread's namespaces: `ip` (package iproute2) or `mount`.
pub(super) fn run(tool: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(tool).args(arguments).output().with_context(|| format!("running {tool}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{tool} {}: {said}", arguments.join(" "));
    Ok(())
}

impl Namespace {
    /// A fresh one, with its loopback up.
    pub(super) fn new() -> Result<Self> {
        apart(|| {
            unshare(UnshareFlags::NEWNET)?;
            run("ip", &["link", "set", "lo", "up"])?;
            Self::current()
        })
    }

    /// The calling thread's.
    pub(super) fn current() -> Result<Self> {
        Ok(Self(File::open("/proc/thread-self/ns/net")?))
    }

    /// Moves the calling thread there.
    pub(super) fn enter(&self) -> Result<()> {
        Ok(move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Does something within. Processes that it starts stay there.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        apart(|| {
            self.enter()?;
            work()
        })
    }
}

/// In a thread that ends with the work: threads of others stay where they are.
fn apart<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join().map_err(|_| anyhow!("a thread panicked"))?)
}
