//! Passes sockets from one process to another (unix(7), `SCM_RIGHTS`).

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
};

use nix::{
    cmsg_space,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};

/// Sends one socket.
pub(super) fn send(through: &UnixStream, passed: &UnixStream) -> io::Result<()> {
    let descriptors = [passed.as_raw_fd()];
    // A descriptor travels only with data.
    let data = [IoSlice::new(&[0])];
    let passed = [ControlMessage::ScmRights(&descriptors)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(through.as_raw_fd(), &data, &passed, flags, None)?;
    Ok(())
}

/// Receives one socket; nothing when the other side is gone.
pub(super) fn receive(through: &UnixStream) -> io::Result<Option<UnixStream>> {
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(through.as_raw_fd(), &mut data, Some(&mut space), flags)?;
    let descriptors = message.cmsgs()?.flat_map(|passed| match passed {
        ControlMessageOwned::ScmRights(descriptors) => descriptors,
        _ => Vec::new(),
    });
    // SAFETY: the kernel just made these descriptors for this process.
    let mut sockets = descriptors.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }.into());
    Ok(sockets.next())
}
