//! The raw edges of the system: the hook before `main`, the end without destructors, inherited
//! descriptors.
//!
//! This module must not hold logic. It is one of the three files with `unsafe`.

#![expect(unsafe_code, reason = "raw system interfaces are wrapped here and nowhere else")]

use rustix::thread::UnshareFlags;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

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
pub(crate) fn deny_write_execute() -> io::Result<()> {
    // SAFETY: this `prctl` takes plain numbers and changes no memory.
    let done = unsafe {
        libc::prctl(libc::PR_SET_MDWE, libc::PR_MDWE_REFUSE_EXEC_GAIN as libc::c_ulong, 0, 0, 0)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether [`deny_write_execute`] holds; `None` where the kernel does not know it.
pub(crate) fn denies_write_execute() -> Option<bool> {
    // SAFETY: as in `deny_write_execute`.
    let mode = unsafe { libc::prctl(libc::PR_GET_MDWE, 0, 0, 0, 0) };
    (mode >= 0).then_some(mode & libc::PR_MDWE_REFUSE_EXEC_GAIN as i32 != 0)
}

/// A raw attempt at something that a sealed process must not be able to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attempt {
    Fork,
    Execute,
    MapWritableExecutable,
    MakeExecutable,
    /// Of the process with this number.
    Trace(u32),
    CopyFrom(u32),
    Unshare(UnshareFlags),
    IoUring,
    LoadBpf,
    /// The system call with this number, and arguments that mean nothing.
    #[cfg(test)]
    Call(i64),
}

/// Makes an attempt. For probes only: processes that do nothing else, and end afterwards.
///
/// # Errors
/// What the kernel said, if it let the process live.
pub(crate) fn attempt(what: Attempt) -> io::Result<()> {
    let call = |number: libc::c_long, args: [usize; 6]| {
        let [a, b, c, d, e, f] = args;
        // SAFETY: pointers among the arguments are null, or to locals that outlive the call and
        // are as large as the call takes them to be; the mappings it makes are new ones. Nothing
        // of this process is unmapped or overwritten, except under `Call`, where the process has
        // no use for its memory but to tell the answer.
        match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
            -1 => Err(io::Error::last_os_error()),
            done => Ok(done),
        }
    };
    const PAGE: usize = 4096;
    let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let (rw, exec) = ((libc::PROT_READ | libc::PROT_WRITE) as usize, libc::PROT_EXEC as usize);
    let done = match what {
        // A child that is no thread: it shares nothing, and ends at once.
        Attempt::Fork => match call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0])? {
            0 => exit_now(0),
            child => child,
        },
        Attempt::Execute => {
            let path = c"/bin/true".as_ptr() as usize;
            call(libc::SYS_execve, [path, 0, 0, 0, 0, 0])?
        }
        Attempt::MapWritableExecutable => {
            call(libc::SYS_mmap, [0, PAGE, rw | exec, private, usize::MAX, 0])?
        }
        Attempt::MakeExecutable => {
            let page = call(libc::SYS_mmap, [0, PAGE, rw, private, usize::MAX, 0])?;
            let code = libc::PROT_READ as usize | exec;
            call(libc::SYS_mprotect, [page as usize, PAGE, code, 0, 0, 0])?
        }
        Attempt::Trace(pid) => {
            call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, pid as usize, 0, 0, 0, 0])?
        }
        Attempt::CopyFrom(pid) => {
            let mut byte = 0_u8;
            // The same executable, loaded as this one: what is here is there.
            let here = std::ptr::from_mut(&mut byte);
            let local = libc::iovec { iov_base: here.cast(), iov_len: 1 };
            let remote = local;
            let (local, remote) = (&raw const local as usize, &raw const remote as usize);
            let copied = call(libc::SYS_process_vm_readv, [pid as usize, local, 1, remote, 1, 0]);
            match copied {
                // It was allowed, and the address is another one there.
                Err(error) if error.raw_os_error() == Some(libc::EFAULT) => 0,
                copied => copied?,
            }
        }
        Attempt::Unshare(flags) => call(libc::SYS_unshare, [flags.bits() as usize, 0, 0, 0, 0, 0])?,
        Attempt::IoUring => {
            let mut params = [0_u32; 30];
            call(libc::SYS_io_uring_setup, [1, params.as_mut_ptr() as usize, 0, 0, 0, 0])?
        }
        Attempt::LoadBpf => {
            // BPF_MAP_CREATE of an array with one element of four bytes.
            let attributes = [2_u32, 4, 4, 1, 0, 0, 0, 0];
            let len = size_of_val(&attributes);
            call(libc::SYS_bpf, [0, attributes.as_ptr() as usize, len, 0, 0, 0])?
        }
        #[cfg(test)]
        Attempt::Call(number) => call(number, [0; 6])?,
    };
    let _ = done;
    Ok(())
}

/// Reads from a place of a file that is known by its number only. Whether all of `bytes` was read.
pub(crate) fn read_at(number: RawFd, bytes: &mut [u8], offset: u64) -> bool {
    let Ok(at) = libc::off_t::try_from(offset) else { return false };
    // SAFETY: the kernel writes at most as many bytes as the buffer has; a number that is no open
    // file is an error.
    let read = unsafe { libc::pread(number, bytes.as_mut_ptr().cast(), bytes.len(), at) };
    usize::try_from(read) == Ok(bytes.len())
}

/// Makes a copy of this process, as a child of this process's parent and not of this one; true in
/// the copy.
///
/// The C library does not hear of it, and neither does anybody who asked it to be told of forks: a
/// page map that was opened before is still that of the original.
///
/// # Errors
/// Where there is no room for another process.
pub(crate) fn fork_sibling() -> io::Result<bool> {
    let flags = SIBLING as libc::c_long;
    // SAFETY: without CLONE_VM and without a stack of its own the copy goes on here, in memory of
    // its own. Only a process with one thread calls this, so no lock is held by a thread that the
    // copy lacks.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) } {
        -1 => Err(io::Error::last_os_error()),
        copy => Ok(copy == 0),
    }
}

/// What [`fork_sibling`] asks for.
pub(crate) const SIBLING: u64 = (libc::CLONE_PARENT | libc::SIGCHLD) as u64;

/// Gives an open descriptor, known by its number only, another file.
///
/// # Errors
/// Where the kernel refuses it; the number is then what it was.
pub(crate) fn replace(number: RawFd, file: &OwnedFd) -> io::Result<()> {
    // SAFETY: whoever owns the number goes on owning it, and is told by the caller what it is now.
    match unsafe { libc::dup3(file.as_raw_fd(), number, libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes descriptor 2 another name of this one: what the standard library says of a failed
/// allocation before it ends the process then goes there.
pub(crate) fn redirect_stderr(to: BorrowedFd<'_>) -> io::Result<()> {
    // `dup2` would be another system call, on some machines only.
    // SAFETY: both are open, and in a child of ours nobody owns descriptor 2.
    match unsafe { libc::dup3(to.as_raw_fd(), 2, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
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

/// How many forks of this library's processes lie between the first one and this: a copy made by
/// `fork` counts one more than its original. A copy that was made without libc is not counted.
pub(crate) fn forks() -> u32 {
    static FORKS: AtomicU32 = AtomicU32::new(0);
    static COUNTED: Once = Once::new();
    extern "C" fn count() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    COUNTED.call_once(|| {
        // SAFETY: the function does what may be done between a fork and what comes after it.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(count)) };
    });
    FORKS.load(Ordering::Relaxed)
}

/// Closes every descriptor from 3 on: whatever the embedder's program leaked into its children.
pub(crate) fn close_inherited() {
    // SAFETY: called first thing in a child, before it has opened any descriptor of its own, so no
    // owner of one is left behind. Failure (a kernel before 5.9) leaves them open, as before.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}
