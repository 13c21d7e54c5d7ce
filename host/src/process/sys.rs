//! The raw edges of the system: the hook before `main`, the end without destructors, inherited
//! descriptors.
//!
//! This module must not hold logic. It is one of the three files with `unsafe`.

#![expect(unsafe_code, reason = "raw system interfaces are wrapped here and nowhere else")]

use std::os::fd::{FromRawFd, OwnedFd};

/// Runs before `main` in every executable that links this library.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        super::role::init();
    }
    before_main
};

/// Ends this process at once: no destructors and no `atexit` functions, which belong to the
/// embedder's program and not to the role that runs in its executable.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no preconditions and does not return.
    unsafe { libc::_exit(status) }
}

/// Takes over descriptor 0, through which a child of ours gets its control stream.
pub(crate) fn adopt_stdin() -> OwnedFd {
    // SAFETY: called once, first thing in a child that was started with descriptor 0 open; nothing
    // else in this process uses it, as `main` never runs.
    unsafe { OwnedFd::from_raw_fd(0) }
}

/// Asks the kernel never to make memory of this process executable that is or was writable
/// (Linux 6.3). Inherited, and for good.
///
/// # Errors
/// `InvalidInput` where the kernel does not know it.
pub(crate) fn deny_write_execute() -> std::io::Result<()> {
    // SAFETY: this `prctl` takes plain numbers and changes no memory.
    let done = unsafe {
        libc::prctl(libc::PR_SET_MDWE, libc::PR_MDWE_REFUSE_EXEC_GAIN as libc::c_ulong, 0, 0, 0)
    };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Tests only: a file as shared memory, for good.
#[cfg(test)]
pub(crate) fn map_shared(
    file: &std::fs::File,
) -> std::io::Result<&'static [std::sync::atomic::AtomicU8]> {
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    let len = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping that replaces nothing, and is never unmapped; bytes that others write
    // are only reached as atomics. The test that made the file does not shorten it.
    unsafe {
        let start = mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, file, 0)?;
        Ok(std::slice::from_raw_parts(start.cast(), len))
    }
}

/// Tests only: a descriptor by its number.
#[cfg(test)]
pub(crate) fn borrow(fd: std::os::fd::RawFd) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: the worker that asks for this number keeps its owner for as long as it lives.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }
}

/// Closes every descriptor from 3 on: whatever the embedder's program leaked into its children.
pub(crate) fn close_inherited() {
    // SAFETY: called first thing in a child, before it has opened any descriptor of its own, so no
    // owner of one is left behind. Failure (a kernel before 5.9) leaves them open, as before.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}
