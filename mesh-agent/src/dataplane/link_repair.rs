//! Checks the links of a running agent, and pins again what was unpinned, so that the programs stay
//! attached when the agent ends.

use std::{io, os::fd::AsFd as _};

use tracing::warn;

use super::{
    link::{Held, chain, info},
    pin::{Cgroup, PinDir},
    sys,
};

/// Why a program may not serve, or not for long.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(
        "no program serves: cgroup {0} was removed; create it again, or start the agent with another --cgroup"
    )]
    NoCgroup(String),
    #[error(
        "program {hook} serves nothing: another process detached it from cgroup {cgroup}; restart the agent, which attaches it \
         again"
    )]
    Detached { hook: &'static str, cgroup: String },
    #[error(
        "the link of program {hook} is not pinned, so the program is gone when this agent ends: {reason}"
    )]
    NotPinned { hook: &'static str, reason: String },
}

/// Pins again what was unpinned. Returns what is wrong with the links.
pub(super) fn repair(links: &[Held], pins: &PinDir, cgroup: &Cgroup) -> Vec<String> {
    if !cgroup.exists() {
        let path = cgroup.path().display().to_string();
        return vec![Problem::NoCgroup(path).to_string()];
    }
    let mut pinned_again = 0;
    let mut problems = Vec::new();
    for held in links {
        match repair_one(held, pins, cgroup) {
            Ok(Pinned::Intact) => {}
            Ok(Pinned::Repaired) => pinned_again += 1,
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
    Intact,
    Repaired,
}

fn repair_one(held: &Held, pins: &PinDir, cgroup: &Cgroup) -> Result<Pinned, Problem> {
    let hook = held.hook;
    let not_pinned = |reason| Problem::NotPinned { hook, reason };
    if sys::link_info(held.link.as_fd()).is_ok_and(|info| info.cgroup_id == 0) {
        let cgroup = cgroup.path().display().to_string();
        return Err(Problem::Detached { hook, cgroup });
    }
    let path = pins.link(hook);
    match sys::obj_get(&path).and_then(|link| info(&link)) {
        Ok(there) if there.link_id == held.attached.link_id => Ok(Pinned::Intact),
        Ok(_) => Err(not_pinned(format!(
            "{} is another link; remove it",
            path.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pinned = pins.pin_again(hook, &held.link).map(|()| Pinned::Repaired);
            pinned.map_err(|error| not_pinned(chain(&error)))
        }
        Err(error) => Err(not_pinned(format!(
            "cannot open {}: {error}",
            path.display()
        ))),
    }
}
