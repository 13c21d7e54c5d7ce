//! Descriptors that travel: sealed files, pipes, and passing them beside a control message.
//!
//! This module must not know what is in them.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, fcntl_setfl, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use rustix::process::Pid;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;

/// Most descriptors that travel at once.
const MAX_FDS: usize = 4;

/// Copies `bytes` into a file in memory that nobody can change any more.
pub(crate) fn sealed_file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = open_file(name)?;
    file.write_all(bytes)?;
    seal(file)
}

/// An empty file in memory, to be filled and [sealed](seal).
pub(crate) fn open_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?))
}

/// Makes a file in memory one that nobody can change any more.
pub(crate) fn seal(mut file: File) -> io::Result<OwnedFd> {
    // A receiver shares the position.
    file.rewind()?;
    let fd = OwnedFd::from(file);
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

/// A pipe as (read end, write end); the ends chosen do not block.
pub(crate) fn bell_pipe(nonblocking_read: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // A writer never blocks: a full pipe is a bell that rings already.
    fcntl_setfl(&write, OFlags::NONBLOCK)?;
    if nonblocking_read {
        fcntl_setfl(&read, OFlags::NONBLOCK)?;
    }
    Ok((read, write))
}

/// The number under which this process holds its own page map, if it does. To be asked before
/// `/proc` is out of reach.
pub(crate) fn own_pagemap() -> Option<RawFd> {
    let own = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|target| target.ends_with("pagemap"))
    };
    let mut descriptors = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
    descriptors.find(own)?.file_name().to_str()?.parse().ok()
}

/// Two ends of a stream; what comes out of the first tells which process put it in.
pub(crate) fn attested_pair() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    attest(&ours)?;
    Ok((ours, theirs))
}

/// Has the kernel tell which process sends what comes out of a stream from now on.
pub(crate) fn attest(stream: &UnixStream) -> io::Result<()> {
    Ok(sockopt::set_socket_passcred(stream, true)?)
}

/// Receives what one process has sent, as much as there is room for, and that process. The kernel
/// says who it was; nobody without capabilities can send in another's name.
///
/// # Errors
/// `UnexpectedEof` if there is nobody left to send.
pub(crate) fn receive_attested(
    stream: impl AsFd,
    bytes: &mut [u8],
) -> io::Result<(usize, Option<Pid>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    // Descriptors that come along uncalled for have no room, so the kernel drops them.
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
        _ => None,
    });
    Ok((received.bytes, sender))
}

/// As [`send_fds`], without waiting for room.
pub(crate) fn send_fds_at_once(stream: impl AsFd, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with(stream, fds, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

/// Sends descriptors, with one byte to carry them.
pub(crate) fn send_fds(stream: impl AsFd, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with(stream, fds, SendFlags::NOSIGNAL)
}

fn send_with(stream: impl AsFd, fds: &[BorrowedFd<'_>], flags: SendFlags) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    sendmsg(stream, &[IoSlice::new(b"F")], &mut ancillary, flags)?;
    Ok(())
}

/// Receives exactly `N` descriptors.
pub(crate) fn receive_fds<const N: usize>(stream: impl AsFd) -> io::Result<[OwnedFd; N]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes != 1 || received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "descriptors did not arrive"));
    }
    let mut fds = Vec::with_capacity(N);
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    fds.try_into().map_err(|_| io::Error::other("another number of descriptors arrived"))
}
