//! The link between a hook of a cgroup and its program.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use aya::programs::{
    CgroupAttachMode, CgroupSock, CgroupSockAddr, ProgramError, ProgramFd, SockOps, links::FdLink,
};

use super::sys;

/// A link that is held open, so that removing its pin detaches nothing.
pub(super) struct Held {
    pub(super) hook: &'static str,
    pub(super) link: OwnedFd,
    pub(super) attached: Attached,
}

impl Held {
    /// Puts an earlier program back.
    pub(super) fn restore(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        sys::link_update(self.link.as_fd(), program)
    }
}

/// A hook with a program behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attached {
    /// Kernel id of the link.
    pub link_id: u32,
    /// Kernel id of the program.
    pub program_id: u32,
}

/// Result of [`replace_program`].
pub(super) enum Replaced {
    Yes(Attached),
    /// The link is of another cgroup, or its cgroup was removed.
    LinkIsDead,
}

/// Puts a program into the link of a hook. Fails with the reason.
pub(super) fn replace_program(
    link: &impl AsFd,
    program: &impl Attach,
    cgroup_id: u64,
) -> Result<Replaced, String> {
    let before = sys::link_info(link.as_fd()).map_err(|error| error.to_string())?;
    if before.cgroup_id != cgroup_id {
        return Ok(Replaced::LinkIsDead);
    }
    let program = program.fd().map_err(|error| chain(&error))?;
    match sys::link_update(link.as_fd(), program.as_fd()) {
        Ok(()) => info(link)
            .map(Replaced::Yes)
            .map_err(|error| error.to_string()),
        // The cgroup was removed and made again.
        Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => Ok(Replaced::LinkIsDead),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns the ids of a link and its program.
pub(super) fn info(link: &impl AsFd) -> io::Result<Attached> {
    let info = sys::link_info(link.as_fd())?;
    Ok(Attached {
        link_id: info.id,
        program_id: info.program_id,
    })
}

/// A program for a cgroup hook; aya has a type for each kind.
pub(super) trait Attach {
    fn attach_link(&mut self, cgroup: &File) -> Result<FdLink, ProgramError>;
    fn fd(&self) -> Result<&ProgramFd, ProgramError>;
}

macro_rules! attach {
    ($($program:ty),*) => {$(
        impl Attach for $program {
            fn attach_link(&mut self, cgroup: &File) -> Result<FdLink, ProgramError> {
                // The kernel lets cgroup links share a hook whatever the mode; it accepts no other
                // mode for links.
                let id = self.attach(cgroup, CgroupAttachMode::Single)?;
                self.take_link(id)?.try_into().map_err(|_| ProgramError::InvalidName { name: String::new() })
            }

            fn fd(&self) -> Result<&ProgramFd, ProgramError> {
                self.fd()
            }
        }
    )*};
}

attach!(CgroupSockAddr, CgroupSock, SockOps);

/// Returns an error with all its causes on one line; aya puts the errno into the innermost.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
