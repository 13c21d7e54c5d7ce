//! The mapped shared memory of one ring: the only place where it is read and written.
//!
//! This module must not interpret what it copies. It is one of the three files with `unsafe`.

#![expect(unsafe_code, reason = "shared memory is mapped and copied here and nowhere else")]

use super::bell::Waiting;
use super::row::Table;
use super::sync::{AtomicU32, AtomicU64};
use super::word::Word;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create,
};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

/// Bytes of each stream's arena. Larger frames travel in pieces, and are copied once more; so two
/// of a megabyte have room, the one that is run and the next. Of 4 MiB, all was used in turn, and had
/// fallen out of the processor's caches each time: items of 1 MiB took a quarter longer. Pages that
/// were touched are given back when the worker has been idle.
pub(crate) const ARENA: usize = (2 << 20) + (64 << 10);
/// Of which the front is used. A mapping begins at a whole page of the machine, and on aarch64 pages
/// can be as large as this.
const CONTROL: usize = 64 << 10;
const NOTE: usize = 512;
/// The whole file: control page, item arena, result arena.
const FILE: usize = CONTROL + 2 * ARENA;
/// The address range: each arena is mapped twice in a row, so that no frame ever wraps.
const RANGE: usize = CONTROL + 4 * ARENA;

/// The atomics both sides share. Each writer has cache lines of its own.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Control {
    pub(crate) word: Word,
    _pad0: [u64; 7],
    /// Bytes of the item stream that were written. Written by the host.
    pub(crate) items_tail: AtomicU64,
    /// Bytes of the result stream that were taken. Written by the host.
    pub(crate) results_head: AtomicU64,
    /// Number of ended items at which the host wants its bell. Written by the host.
    pub(crate) bell_at: AtomicU32,
    _pad1: [u32; 11],
    /// Bytes of the item stream that were used up. Written by the worker.
    pub(crate) items_head: AtomicU64,
    /// Bytes of the result stream that were written. Written by the worker.
    pub(crate) results_tail: AtomicU64,
    /// Where the newest row of results ended, as a position in their stream. Written by the worker.
    pub(crate) row_end: AtomicU64,
    _pad2: [u64; 5],
    pub(crate) worker_waits: Waiting,
    _pad3: [u32; 15],
    pub(crate) host_waits: Waiting,
    _pad4: [u32; 15],
    /// Length of the dying words of the worker.
    pub(crate) note_len: AtomicU32,
    _pad5: [u32; 15],
    /// What is said about items in a row. Written by the host.
    pub(crate) rows: Table,
}

/// Which of the two streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Items,
    Results,
}

/// One mapping of a ring.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
}

// SAFETY: the region is only reached through atomics and through copies whose ranges the ring
// protocol gives to one side at a time; nothing in it belongs to a thread.
unsafe impl Send for Region {}
// SAFETY: as above; `HostRing` and `WorkerRing` take `&mut self` wherever they copy bytes.
unsafe impl Sync for Region {}

/// Makes the file of a ring: sealed, so that a worker can neither shrink it (which would kill the
/// host with SIGBUS) nor grow it.
pub(crate) fn create() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = memfd_create("sandpool-ring", flags)?;
    ftruncate(&fd, FILE as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(fd)
}

impl Region {
    /// Maps the file of a ring.
    ///
    /// # Errors
    /// If the file is not one that [`create`] made, or if it cannot be mapped.
    pub(crate) fn map(fd: impl AsFd) -> io::Result<Self> {
        let fd = fd.as_fd();
        let right_size = fstat(fd)?.st_size == FILE as i64;
        if !right_size || !fcntl_get_seals(fd)?.contains(SealFlags::SHRINK) {
            return Err(io::Error::other("not a sealed ring file"));
        }
        // SAFETY: a fresh anonymous reservation that replaces nothing.
        let base = unsafe {
            mmap_anonymous(std::ptr::null_mut(), RANGE, ProtFlags::empty(), MapFlags::PRIVATE)?
        };
        let region = Self { base: NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)? };
        let (items, results) = (CONTROL, CONTROL + ARENA);
        let pieces = [
            (0, CONTROL, 0),
            (CONTROL, ARENA, items),
            (CONTROL + ARENA, ARENA, items),
            (CONTROL + 2 * ARENA, ARENA, results),
            (CONTROL + 3 * ARENA, ARENA, results),
        ];
        for (at, len, offset) in pieces {
            let address: *mut c_void = region.base.as_ptr().wrapping_add(at).cast();
            let access = ProtFlags::READ | ProtFlags::WRITE;
            let flags = MapFlags::SHARED | MapFlags::FIXED;
            // SAFETY: `at + len <= RANGE`, so this replaces a part of the reservation made above
            // and owned by `region`, and nothing else; the file is sealed against shrinking, so
            // every mapped page has a page of the file behind it.
            unsafe { mmap(address, len, access, flags, fd, offset as u64)? };
        }
        Ok(region)
    }

    #[inline]
    pub(crate) fn control(&self) -> &Control {
        const { assert!(size_of::<Control>() + NOTE <= CONTROL) };
        // SAFETY: the first `CONTROL` bytes of the region are mapped read-write as long as `self`
        // lives, are page-aligned, and any bit pattern is a valid `Control` (integers only); all
        // of its fields that the peer can change are atomics.
        unsafe { self.base.cast::<Control>().as_ref() }
    }

    /// Tests only: the `at`-th 64-bit word of the control page, whatever it means.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn raw_word(&self, at: usize) -> &AtomicU64 {
        assert!(at < CONTROL / 8);
        // SAFETY: aligned and inside the control page, which is mapped as long as `self` lives;
        // everything in it is made of atomics, or unused.
        unsafe { self.base.cast::<AtomicU64>().add(at).as_ref() }
    }

    #[inline]
    fn at(&self, stream: Stream, position: u64) -> *mut u8 {
        let arena = match stream {
            Stream::Items => CONTROL,
            Stream::Results => CONTROL + 2 * ARENA,
        };
        // The remainder is below `ARENA`, so it fits.
        let offset = (position % ARENA as u64) as usize;
        self.base.as_ptr().wrapping_add(arena + offset)
    }

    /// Copies `bytes` into a stream. They must fit into its arena.
    #[inline]
    pub(crate) fn write(&mut self, stream: Stream, position: u64, bytes: &[u8]) {
        assert!(bytes.len() <= ARENA, "a piece is never larger than its arena");
        // SAFETY: the target starts inside the first mapping of the arena and, being no longer than
        // the arena, ends inside the second one; `bytes` is ordinary memory and does not overlap.
        unsafe { self.at(stream, position).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Says that a place in a stream will be written soon: the other side has read it last, and to
    /// take the cache line back takes longer than a quick item.
    #[inline]
    pub(crate) fn expect_write(&self, stream: Stream, position: u64) {
        // `_mm_prefetch` asks for a copy to read, unless compiled for newer processors alone; where
        // the instruction is unknown, it does nothing.
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, which neither reads nor writes nor faults.
        unsafe {
            std::arch::asm!(
                "prefetchw [{}]", in(reg) self.at(stream, position),
                options(nostack, preserves_flags)
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (stream, position);
    }

    /// Appends `len` bytes of a stream to `out`. They must fit into its arena.
    #[inline]
    pub(crate) fn read(&self, stream: Stream, position: u64, len: usize, out: &mut Vec<u8>) {
        assert!(len <= ARENA, "a piece is never larger than its arena");
        out.reserve(len);
        let end = out.len();
        // SAFETY: the source lies in the double mapping as in `write`; the reservation above made
        // room for `len` bytes behind `end`, and they are written before the length covers them.
        // The peer may change the source meanwhile: then the copy holds some of its bytes, which
        // is why callers check copies and never the source.
        unsafe {
            self.at(stream, position).copy_to_nonoverlapping(out.as_mut_ptr().add(end), len);
            out.set_len(end + len);
        }
    }

    /// Gives the memory of both arenas back to the system; what is in them turns to zeros.
    pub(crate) fn discard(&mut self) {
        for stream in [Stream::Items, Stream::Results] {
            let arena = self.at(stream, 0).cast();
            // SAFETY: the first mapping of an arena, as long as `self` lives. Nobody's bytes are
            // lost: there are none when this is called, and a worker that looks there all the same
            // finds zeros.
            let _ = unsafe { madvise(arena, ARENA, Advice::LinuxRemove) };
        }
    }

    /// Copies the `N` bytes of a head.
    #[inline]
    pub(crate) fn head<const N: usize>(&self, stream: Stream, position: u64) -> [u8; N] {
        const { assert!(N <= ARENA) };
        let mut out = [0; N];
        // SAFETY: as in `read`, into an array of just that size.
        unsafe { self.at(stream, position).copy_to_nonoverlapping(out.as_mut_ptr(), N) };
        out
    }

    /// Worker only: the bytes of an item where they are.
    ///
    /// The host does not change bytes of the item stream between publishing them and seeing
    /// `items_head` pass them, and the worker trusts the host; so these bytes are immutable until
    /// the worker, through `&mut self`, moves on.
    #[inline]
    pub(crate) fn item_bytes(&self, position: u64, len: usize) -> &[u8] {
        assert!(len <= ARENA, "a larger item is read in pieces");
        // SAFETY: inside the double mapping as in `read`, initialised (shared memory starts as
        // zeros), and unchanged while borrowed, as said above.
        unsafe { std::slice::from_raw_parts(self.at(Stream::Items, position), len) }
    }

    /// Worker: leaves a few words for whoever looks at the body.
    pub(crate) fn leave_note(&self, note: &str) {
        let len = note.len().min(NOTE);
        // SAFETY: the note lies behind `Control` inside the control page (asserted in `control`).
        unsafe {
            let target = self.base.as_ptr().add(size_of::<Control>());
            target.copy_from_nonoverlapping(note.as_ptr(), len);
        }
        // At most `NOTE`, so it fits.
        self.control().note_len.store(len as u32, super::sync::Ordering::Release);
    }

    /// Host: the words of a dead worker, made harmless for a terminal.
    pub(crate) fn note(&self) -> Option<String> {
        let len = self.control().note_len.load(super::sync::Ordering::Acquire) as usize;
        if len == 0 || len > NOTE {
            return None;
        }
        let mut bytes = vec![0; len];
        // SAFETY: the note lies behind `Control` inside the control page; `bytes` has `len` bytes.
        unsafe {
            let source = self.base.as_ptr().add(size_of::<Control>());
            source.copy_to_nonoverlapping(bytes.as_mut_ptr(), len);
        }
        let text = String::from_utf8_lossy(&bytes);
        Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `map` and nothing borrows from it any more. Failing to
        // unmap leaks address space, nothing worse.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), RANGE) };
    }
}
