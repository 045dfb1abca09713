//! The links of a running agent. It holds them open, so that removing a pin detaches nothing while
//! it runs, and pins again what was removed, so that programs stay when it ends.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use tracing::warn;

use super::{
    pin::{Attached, Cgroup, PinDir, chain, info},
    sys,
};

/// A link that is held open.
pub(super) struct Held {
    pub(super) hook: &'static str,
    pub(super) link: OwnedFd,
    pub(super) attached: Attached,
}

/// A link does not do what it is there for.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(
        "program {hook} serves nothing: cgroup {cgroup} was removed; start the agent again when there is one"
    )]
    NoCgroup { hook: &'static str, cgroup: String },
    #[error(
        "the link of program {hook} is not pinned, so the program is gone when this agent ends: {reason}"
    )]
    NotPinned { hook: &'static str, reason: String },
}

/// Pins again what was unpinned; says what is wrong with the links.
pub(super) fn look_after(links: &[Held], pins: &PinDir, cgroup: &Cgroup) -> Vec<String> {
    let mut pinned_again = 0;
    let mut problems = Vec::new();
    for held in links {
        match held.look_after(pins, cgroup) {
            Ok(Pinned::Still) => {}
            Ok(Pinned::Again) => pinned_again += 1,
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    if pinned_again > 0 {
        warn!(
            links = pinned_again,
            "links were unpinned by another process; pinned again"
        );
    }
    problems
}

enum Pinned {
    Still,
    Again,
}

impl Held {
    fn look_after(&self, pins: &PinDir, cgroup: &Cgroup) -> Result<Pinned, Problem> {
        let hook = self.hook;
        let not_pinned = |reason| Problem::NotPinned { hook, reason };
        if sys::link_info(self.link.as_fd()).is_ok_and(|info| info.cgroup_id == 0) {
            return Err(Problem::NoCgroup {
                hook,
                cgroup: cgroup.path().display().to_string(),
            });
        }
        let path = pins.link(hook);
        match sys::obj_get(&path).and_then(|link| info(&link)) {
            Ok(there) if there.link_id == self.attached.link_id => Ok(Pinned::Still),
            Ok(_) => Err(not_pinned(format!(
                "{} is another link; remove it",
                path.display()
            ))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pinned = pins.pin_again(hook, &self.link).map(|()| Pinned::Again);
                pinned.map_err(|error| not_pinned(chain(&error)))
            }
            Err(error) => Err(not_pinned(format!(
                "cannot open {}: {error}",
                path.display()
            ))),
        }
    }
}
