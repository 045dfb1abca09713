//! The hooks of a cgroup, and the programs of this agent for them.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::Context as _;
use aya::{
    Ebpf,
    programs::{CgroupSock, CgroupSockAddr, SockOps},
};

use super::{
    link::Held,
    other_agents,
    pin::{Cgroup, PinDir},
    switch::Hooks,
};

/// Hooks of addresses, in the order in which their programs are replaced. Programs that read socket
/// records come before programs that write them: the replacement of all programs is not atomic, and
/// new readers understand old records.
pub(super) const ADDRESS_HOOKS: [&str; 8] = [
    "getpeername4",
    "getpeername6",
    "recvmsg4",
    "recvmsg6",
    "sendmsg4",
    "sendmsg6",
    "connect4",
    "connect6",
];
/// Hook of closed sockets. It is attached before the others, so that it cleans up everything that
/// they keep.
pub(super) const RELEASE_HOOK: &str = "sock_release";
/// Hook of TCP states. It is attached before the hooks that connect, so that it releases everything
/// that they count.
pub(super) const STATE_HOOK: &str = "sock_ops";

pub(super) const HAS_ALL: &str = "the object is built from this workspace and holds every program";

/// Returns all hooks, in the order in which they are attached.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    [RELEASE_HOOK, STATE_HOOK].into_iter().chain(ADDRESS_HOOKS)
}

/// The programs, and where they are attached.
pub(super) struct CgroupHooks<'a> {
    pub(super) pins: &'a PinDir,
    pub(super) programs: &'a mut Ebpf,
    pub(super) cgroup: &'a Cgroup,
    pub(super) may_be_second: bool,
}

/// An attached program.
pub(super) struct Switched {
    pub(super) held: Held,
    /// The program that served before.
    before: Before,
}

enum Before {
    /// The hook had no program.
    Nothing,
    Program(OwnedFd),
    /// A program that cannot be opened.
    Unknown(std::io::Error),
}

impl CgroupHooks<'_> {
    fn attach(&mut self, hook: &'static str) -> Result<Held, super::pin::Error> {
        let Self {
            pins,
            programs,
            cgroup,
            ..
        } = self;
        match hook {
            RELEASE_HOOK => pins.attach(hook, program::<CgroupSock>(programs, hook), cgroup),
            STATE_HOOK => pins.attach(hook, program::<SockOps>(programs, hook), cgroup),
            _ => pins.attach(hook, program::<CgroupSockAddr>(programs, hook), cgroup),
        }
    }
}

fn program<'a, P>(programs: &'a mut Ebpf, hook: &str) -> &'a mut P
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program>,
{
    let program = programs
        .program_mut(hook)
        .and_then(|program| program.try_into().ok());
    program.expect(HAS_ALL)
}

impl Hooks for CgroupHooks<'_> {
    type Switched = Switched;

    fn switch(&mut self, hook: &'static str) -> anyhow::Result<Switched> {
        let present = self.pins.present_link(hook);
        let held = self.attach(hook)?;
        let before = match present {
            // A link that was replaced is gone, with what it served.
            Some((link_id, program)) if link_id == held.attached.link_id => {
                program.map_or_else(Before::Unknown, Before::Program)
            }
            _ => Before::Nothing,
        };
        let switched = Switched { held, before };
        if hook == RELEASE_HOOK
            && !self.may_be_second
            && let Err(other) = other_agents::check_first(self.cgroup, self.pins.path())
        {
            self.restore(&switched)?;
            return Err(other.into());
        }
        Ok(switched)
    }

    fn restore(&mut self, switched: &Switched) -> anyhow::Result<()> {
        match &switched.before {
            Before::Nothing => Ok(self.pins.detach(switched.held.hook)?),
            Before::Program(program) => Ok(switched.held.restore(program.as_fd())?),
            Before::Unknown(error) => Err(std::io::Error::from(error.kind()))
                .context("its earlier program is not pinned, and opening it needs CAP_SYS_ADMIN"),
        }
    }
    fn keep(&mut self) -> anyhow::Result<()> {
        all().try_for_each(|hook| {
            let program = self.programs.program(hook).expect(HAS_ALL);
            Ok(self.pins.pin_program(hook, program.fd()?.as_fd())?)
        })
    }
}
