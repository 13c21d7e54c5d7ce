//! The system calls that children may make, as data: each with its condition and its reason.
//!
//! This module must not contain a call without its reason. What serving and compiling may do was
//! seen in traces of them; what a granted folder adds goes by what the file system calls of WASI
//! are made of, so that another kernel or libc finds its variant there too.

use libc::{
    SYS_brk, SYS_clock_gettime, SYS_clock_nanosleep, SYS_clone, SYS_close, SYS_dup3,
    SYS_exit_group, SYS_fadvise64, SYS_fallocate, SYS_fcntl, SYS_fdatasync, SYS_fstat, SYS_fstatfs,
    SYS_fsync, SYS_ftruncate, SYS_futex, SYS_getdents64, SYS_getppid, SYS_getrandom, SYS_ioctl,
    SYS_landlock_add_rule, SYS_landlock_create_ruleset, SYS_landlock_restrict_self, SYS_linkat,
    SYS_lseek, SYS_madvise, SYS_memfd_create, SYS_mkdirat, SYS_mmap, SYS_mprotect, SYS_mremap,
    SYS_munmap, SYS_newfstatat, SYS_openat, SYS_openat2, SYS_prctl, SYS_pread64, SYS_preadv,
    SYS_preadv2, SYS_prlimit64, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_read, SYS_readlinkat,
    SYS_readv, SYS_recvmsg, SYS_renameat, SYS_renameat2, SYS_restart_syscall, SYS_rt_sigaction,
    SYS_rt_sigreturn, SYS_sched_getaffinity, SYS_seccomp, SYS_sendto, SYS_setsid, SYS_sigaltstack,
    SYS_statx, SYS_symlinkat, SYS_unlinkat, SYS_utimensat, SYS_write, SYS_writev,
};
use rustix::fd::RawFd;

/// One allowed system call.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its number on this architecture.
    pub(crate) call: i64,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    pub(crate) name: &'static str,
    pub(crate) when: When,
    /// Who needs it.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    pub(crate) why: &'static str,
}

/// Arguments under which a call is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Any.
    Always,
    /// The first argument is one of these descriptors.
    On(Which),
    /// The protection has no `PROT_EXEC`.
    Unexecutable,
    /// As `Unexecutable`, or the artifact is mapped, to be read and executed.
    ArtifactOnly,
    /// It makes a process with memory of its own, and its parent is this process's parent.
    Sibling,
    /// It is a `PAGEMAP_SCAN` of the process's own page map.
    PagemapScan,
}

/// Descriptors by what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Where the process waits for its host.
    In,
    /// Where it answers.
    Out,
    Artifact,
    Pagemap,
}

/// The numbers of these descriptors in one process; none for what it does not have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fds {
    pub(crate) input: Vec<RawFd>,
    pub(crate) output: Vec<RawFd>,
    pub(crate) artifact: Option<RawFd>,
    pub(crate) pagemap: Option<RawFd>,
}

impl Fds {
    pub(crate) fn of(&self, which: Which) -> &[RawFd] {
        match which {
            Which::In => &self.input,
            Which::Out => &self.output,
            Which::Artifact => self.artifact.as_slice(),
            Which::Pagemap => self.pagemap.as_slice(),
        }
    }
}

/// `_IOWR('f', 16, struct pm_scan_arg)`, the same on all architectures that share the generic
/// numbering of ioctls.
pub(crate) const PAGEMAP_SCAN: u64 = 0xc060_6610;

macro_rules! entries {
    ($($call:ident, $name:literal, $when:expr, $why:literal;)*) => {
        &[$(Entry { call: $call, name: $name, when: $when, why: $why }),*]
    };
}

/// A sealed worker.
pub(crate) const SERVING: &[Entry] = entries! {
    SYS_read, "read", When::On(Which::In), "waits for the host's bell";
    SYS_write, "write", When::On(Which::Out), "rings the host's bell";
    SYS_madvise, "madvise", When::Always, "gives a slot's pages back after an item; the allocator's advice differs";
    SYS_mprotect, "mprotect", When::Unexecutable, "memory.grow, and shrinking a slot";
    SYS_mmap, "mmap", When::Unexecutable, "a slot's data image, large buffers";
    SYS_munmap, "munmap", When::Always, "large buffers";
    SYS_mremap, "mremap", When::Always, "buffers that grow, a backtrace of a deep stack";
    SYS_brk, "brk", When::Always, "small buffers";
    SYS_rt_sigreturn, "rt_sigreturn", When::Always, "the end of every trap that is a signal";
    SYS_exit_group, "exit_group", When::Always, "the end";
    SYS_ioctl, "ioctl", When::PagemapScan, "finds the pages that an item wrote";
};

/// What a module that imports WASI needs beside [`SERVING`].
pub(crate) const WASI: &[Entry] = entries! {
    SYS_getrandom, "getrandom", When::Always, "a context's random numbers";
    SYS_futex, "futex", When::Always, "a wait in the guest for several things";
    SYS_clock_gettime, "clock_gettime", When::Always, "where reading the clock is a real call";
    SYS_clock_nanosleep, "clock_nanosleep", When::Always, "a sleep in the guest for one clock only";
    SYS_restart_syscall, "restart_syscall", When::Always, "a sleep that a stop interrupted";
};

/// What a granted folder needs beside [`WASI`]; which files, Landlock says.
pub(crate) const FILES: &[Entry] = entries! {
    SYS_openat, "openat", When::Always, "opens the folder, and its files on old kernels";
    SYS_openat2, "openat2", When::Always, "opens files beneath the folder";
    SYS_close, "close", When::Always, "closes them";
    SYS_read, "read", When::Always, "reads";
    SYS_readv, "readv", When::Always, "reads";
    SYS_pread64, "pread64", When::Always, "reads at a place";
    SYS_preadv, "preadv", When::Always, "reads at a place";
    SYS_preadv2, "preadv2", When::Always, "reads at a place";
    SYS_lseek, "lseek", When::Always, "seeks";
    SYS_fstat, "fstat", When::Always, "facts of a file";
    SYS_newfstatat, "newfstatat", When::Always, "facts of a file";
    SYS_statx, "statx", When::Always, "facts of a file";
    SYS_fstatfs, "fstatfs", When::Always, "tells whether a folder is a special file system";
    SYS_getdents64, "getdents64", When::Always, "lists a folder";
    SYS_readlinkat, "readlinkat", When::Always, "reads a link";
    SYS_fcntl, "fcntl", When::Always, "flags of a file, copies of a descriptor";
    SYS_fadvise64, "fadvise64", When::Always, "advice on a file";
};

/// What a folder needs, beside [`FILES`], if it was not granted read-only.
pub(crate) const WRITABLE_FILES: &[Entry] = entries! {
    SYS_write, "write", When::Always, "writes";
    SYS_writev, "writev", When::Always, "writes";
    SYS_pwrite64, "pwrite64", When::Always, "writes at a place";
    SYS_pwritev, "pwritev", When::Always, "writes at a place";
    SYS_pwritev2, "pwritev2", When::Always, "appends";
    SYS_ftruncate, "ftruncate", When::Always, "sets a size";
    SYS_fallocate, "fallocate", When::Always, "makes room";
    SYS_fsync, "fsync", When::Always, "waits for the disk";
    SYS_fdatasync, "fdatasync", When::Always, "waits for the disk";
    SYS_mkdirat, "mkdirat", When::Always, "makes a folder";
    SYS_unlinkat, "unlinkat", When::Always, "removes";
    SYS_renameat, "renameat", When::Always, "renames";
    SYS_renameat2, "renameat2", When::Always, "renames";
    SYS_linkat, "linkat", When::Always, "links";
    SYS_symlinkat, "symlinkat", When::Always, "links";
    SYS_utimensat, "utimensat", When::Always, "sets times";
};

/// What loading an artifact needs beside what serving needs.
pub(crate) const LOADING: &[Entry] = entries! {
    SYS_mmap, "mmap", When::ArtifactOnly, "maps the artifact, the only code there is";
    SYS_write, "write", When::Always, "writes data images";
    SYS_memfd_create, "memfd_create", When::Always, "makes data images";
    SYS_fcntl, "fcntl", When::Always, "seals data images, asks for the artifact's seals";
    SYS_fstat, "fstat", When::Always, "the artifact's length";
    SYS_newfstatat, "newfstatat", When::Always, "the same, by another libc";
    SYS_close, "close", When::Always, "the artifact, once it is mapped, and the control stream";
    SYS_openat, "openat", When::Always, "the engine asks for processors; Landlock says no";
    SYS_sched_getaffinity, "sched_getaffinity", When::Always, "the engine asks for processors";
    SYS_getrandom, "getrandom", When::Always, "keys of hash maps";
    SYS_rt_sigaction, "rt_sigaction", When::Always, "the engine's trap signals";
    SYS_sigaltstack, "sigaltstack", When::Always, "the stack for the engine's trap signals";
    SYS_sendto, "sendto", When::Always, "tells the host that it is ready";
    SYS_prlimit64, "prlimit64", When::Always, "the limits of the second step";
    SYS_prctl, "prctl", When::Always, "the second filter: no new privileges, once more";
    SYS_seccomp, "seccomp", When::Always, "the second filter";
};

/// What a zygote needs beside what a worker needs to load, and what its copies need until they are
/// sealed as workers are.
pub(crate) const FORKING: &[Entry] = entries! {
    SYS_clone, "clone", When::Sibling, "makes a worker, which is a child of the host";
    SYS_recvmsg, "recvmsg", When::Always, "descriptors for the next worker";
    SYS_read, "read", When::Always, "the engine asks for processors, in `/proc`, and Landlock says yes";
    SYS_lseek, "lseek", When::Always, "the same";
    SYS_statx, "statx", When::Always, "the same";
    SYS_getppid, "getppid", When::Always, "the worker looks for its host";
    SYS_setsid, "setsid", When::Always, "a session of its own";
    SYS_dup3, "dup3", When::Always, "bells and page map under the numbers that the filters know";
    SYS_landlock_create_ruleset, "landlock_create_ruleset", When::Always, "takes `/proc` away";
    SYS_landlock_add_rule, "landlock_add_rule", When::Always, "granted folders stay";
    SYS_landlock_restrict_self, "landlock_restrict_self", When::Always, "takes `/proc` away";
};

/// A compiler, from before it sees the module.
pub(crate) const COMPILING: &[Entry] = entries! {
    SYS_read, "read", When::On(Which::In), "the module";
    SYS_write, "write", When::On(Which::Out), "the answer";
    SYS_mmap, "mmap", When::Unexecutable, "memory";
    SYS_munmap, "munmap", When::Always, "memory";
    SYS_mremap, "mremap", When::Always, "memory";
    SYS_mprotect, "mprotect", When::Unexecutable, "code that is finished turns read-only";
    SYS_brk, "brk", When::Always, "memory";
    SYS_exit_group, "exit_group", When::Always, "the end";
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn distinct(lists: &[&[Entry]]) -> usize {
        lists.iter().copied().flatten().map(|entry| entry.call).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn the_lists_are_as_short_as_promised() {
        assert!(distinct(&[SERVING]) <= 12);
        assert!(distinct(&[SERVING, WASI]) <= 16);
        assert!(distinct(&[COMPILING]) <= 8);
        // As SECURITY.md says.
        assert_eq!(distinct(&[SERVING]), 11);
        assert_eq!(distinct(&[SERVING, LOADING]), 11 + 14);
    }

    #[test]
    fn each_entry_is_there_once_and_has_a_reason() {
        for list in [SERVING, WASI, FILES, WRITABLE_FILES, LOADING, FORKING, COMPILING] {
            assert_eq!(distinct(&[list]), list.len());
            assert!(list.iter().all(|entry| !entry.why.is_empty() && !entry.name.is_empty()));
        }
    }

    #[test]
    fn no_serving_list_starts_processes_or_talks_to_strangers() {
        let never = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_ptrace,
            libc::SYS_kill,
            libc::SYS_process_vm_writev,
            libc::SYS_io_uring_setup,
            libc::SYS_bpf,
        ];
        for list in [SERVING, WASI, FILES, WRITABLE_FILES, LOADING, COMPILING] {
            assert!(list.iter().all(|entry| !never.contains(&entry.call)));
        }
    }
}
