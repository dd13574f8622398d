//! The system's randomness, for this binary: the same bits in every process. What draws from it is not chance of a world, but
//! would make two lives of a seed differ: keys of hash maps, and the order in which tokio wakes who waits for the same.
#![allow(unsafe_code, reason = "the symbol of the C library is taken over, and its buffer is filled")]

use std::ffi::c_void;

/// As the C library's `getrandom`, whose place it takes.
///
/// # Safety
/// The buffer must have this length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _flags: u32) -> isize {
    // SAFETY: whoever calls promises the buffer, as for the C library's function.
    unsafe { std::ptr::write_bytes(buffer.cast::<u8>(), 0x5a, length) };
    length.cast_signed()
}
