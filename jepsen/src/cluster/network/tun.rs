//! Tun devices: a namespace's way out, whose packets we read and write.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::ioctl::{Opcode, Updater};

use super::namespace::run;

/// The device's name in its namespace.
const NAME: &str = "chaos0";
/// Larger packets cost fewer of them.
const MTU: &str = "9000";

/// `TUNSETIFF` of linux/if_tun.h.
const TUNSETIFF: Opcode = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI`: IP packets and nothing before them.
const FLAGS: u16 = 0x0001 | 0x1000;

/// `struct ifreq`, as far as `TUNSETIFF` reads it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Makes the device in the calling thread's namespace, with this address in a /24. Reads and writes of the file are
/// packets, and do not block.
pub(super) fn open(address: [u8; 4]) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").context("opening /dev/net/tun")?;
    attach(&file).context("making a tun device")?;
    fcntl_setfl(&file, fcntl_getfl(&file)? | OFlags::NONBLOCK)?;
    let [a, b, c, d] = address;
    run("ip", &["address", "add", &format!("{a}.{b}.{c}.{d}/24"), "dev", NAME])?;
    run("ip", &["link", "set", NAME, "mtu", MTU, "up"])?;
    Ok(file)
}

#[allow(unsafe_code, reason = "an ioctl that no crate of ours wraps")]
fn attach(file: &File) -> Result<()> {
    let mut request = Request { name: [0; 16], flags: FLAGS, rest: [0; 22] };
    request.name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, 40 bytes, which `Request` is.
    unsafe { rustix::ioctl::ioctl(file.as_fd(), Updater::<TUNSETIFF, Request>::new(&mut request)) }?;
    Ok(())
}
