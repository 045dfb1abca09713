//! Finds other agents of a cgroup. The kernel's list of attached programs is authoritative: it is
//! the same in every mount, network and process namespace, whatever an agent has locked.

use std::{
    collections::BTreeSet,
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use aya::{
    maps::MapInfo,
    programs::{ProgramInfo, loaded_programs},
};
use mesh_common::abi::maps;

use super::{pin::Cgroup, sys};

/// `enum bpf_attach_type`, `include/uapi/linux/bpf.h`: the hook that an agent attaches first, and
/// one that it attaches last. The first one finds an agent that was killed in between.
const HOOKS: [(&str, u32); 2] = [("sock_release", 34), ("connect4", 10)];
/// Maps that the programs of both hooks use in every version of the agent.
const MAPS: [&str; 2] = [maps::BACKENDS.name, maps::SOCKETS.name];
/// The kernel detaches a program some time after its link was unpinned.
const DETACHED: Duration = Duration::from_millis(300);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Another agent's programs are attached to the cgroup.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "another agent serves cgroup {}: its program {hook} ({}) is attached there; {}, or name another cgroup with --cgroup, \
     or start with --allow-second-agent",
    cgroup.display(),
    place(pins.as_deref(), *program),
    advice(pins.as_deref())
)]
pub struct OtherAgent {
    cgroup: PathBuf,
    hook: &'static str,
    program: u32,
    /// Its pin directory, if it is next to the caller's.
    pins: Option<PathBuf>,
}

impl OtherAgent {
    /// Its pin directory, if known.
    pub fn pins(&self) -> Option<&Path> {
        self.pins.as_deref()
    }

    /// What the other agent does, as a part of a sentence.
    pub fn serves(&self) -> String {
        let Self {
            cgroup,
            hook,
            program,
            pins,
        } = self;
        format!(
            "an agent's program {hook} ({}) serves cgroup {}",
            place(pins.as_deref(), *program),
            cgroup.display()
        )
    }
}

fn place(pins: Option<&Path>, program: u32) -> String {
    match pins {
        Some(pins) => format!("pinned in {}", pins.display()),
        None => format!("kernel id {program}, pinned elsewhere"),
    }
}

fn advice(pins: Option<&Path>) -> String {
    match pins {
        Some(pins) => format!(
            "stop it and run `mesh-agent uninstall --pin-dir {}`",
            pins.display()
        ),
        None => "stop it and run `mesh-agent uninstall` with its --pin-dir".to_owned(),
    }
}

/// Fails if programs of another agent are attached to the cgroup itself, whether that agent runs or
/// not. Programs with links in `own` belong to the caller. Agents of cgroups above and below do not
/// matter.
pub fn check(cgroup: &Cgroup, own: &Path) -> Result<(), OtherAgent> {
    let start = Instant::now();
    loop {
        match find(cgroup, own).into_iter().next() {
            Some(other) if start.elapsed() >= DETACHED => return Err(other),
            Some(_) => thread::sleep(BETWEEN_LOOKS),
            None => return Ok(()),
        }
    }
}

/// Fails if another agent attached its first program before the caller: of two agents that start at
/// the same time, one continues.
pub(super) fn check_first(cgroup: &Cgroup, own: &Path) -> Result<(), OtherAgent> {
    let (hook, kind) = HOOKS[0];
    let order = attached(cgroup, kind);
    let ours = links(own, hook, cgroup);
    let before: Vec<u32> = order
        .into_iter()
        .take_while(|id| Some(*id) != ours)
        .collect();
    match find(cgroup, own)
        .into_iter()
        .find(|other| other.hook == hook && before.contains(&other.program))
    {
        Some(other) => Err(other),
        None => Ok(()),
    }
}

fn find(cgroup: &Cgroup, own: &Path) -> Vec<OtherAgent> {
    let mut found = Vec::new();
    for (hook, kind) in HOOKS {
        let ours = links(own, hook, cgroup);
        let others: BTreeSet<u32> = attached(cgroup, kind)
            .into_iter()
            .filter(|id| Some(*id) != ours)
            .collect();
        if others.is_empty() {
            continue;
        }
        let beside = pinned_beside(own, hook, cgroup);
        let pins = |id| {
            beside
                .iter()
                .find(|(program, _)| *program == id)
                .map(|(_, pins)| pins.clone())
        };
        let agents = agents(hook, &others);
        let is_agents = |id: &&u32| agents.contains(id) || pins(**id).is_some();
        found.extend(others.iter().filter(is_agents).map(|&program| OtherAgent {
            cgroup: cgroup.path().to_owned(),
            hook,
            program,
            pins: pins(program),
        }));
    }
    found
}

/// Returns the ids of the programs of a hook, in the order in which they were attached.
fn attached(cgroup: &Cgroup, kind: u32) -> Vec<u32> {
    // If the kernel does not tell, the attempt to attach fails with a better error.
    sys::attached_programs(cgroup.as_fd(), kind).unwrap_or_default()
}

/// Returns the programs that belong to an agent, by their name and their maps. Needs CAP_SYS_ADMIN.
fn agents(hook: &str, ids: &BTreeSet<u32>) -> BTreeSet<u32> {
    let is_agents = |program: &ProgramInfo| {
        ids.contains(&program.id())
            && program.name_as_str() == Some(hook)
            && has_maps_of_an_agent(program)
    };
    loaded_programs()
        .map_while(Result::ok)
        .filter(is_agents)
        .map(|program| program.id())
        .collect()
}

fn has_maps_of_an_agent(program: &ProgramInfo) -> bool {
    let ids = program.map_ids().ok().flatten().unwrap_or_default();
    let names: Vec<MapInfo> = ids
        .into_iter()
        .filter_map(|id| MapInfo::from_id(id).ok())
        .collect();
    MAPS.iter()
        .all(|map| names.iter().any(|info| info.name_as_str() == Some(map)))
}

/// Returns pin directories next to `own` with a link of this hook on the cgroup, and its program.
/// Does not need CAP_SYS_ADMIN.
fn pinned_beside(own: &Path, hook: &str, cgroup: &Cgroup) -> Vec<(u32, PathBuf)> {
    let beside = own
        .parent()
        .and_then(|parent| fs::read_dir(parent).ok())
        .into_iter()
        .flatten()
        .flatten();
    // A symbolic link may belong to another user and lead to any pins.
    let entries = beside.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let directories = entries.map(|entry| entry.path()).filter(|path| path != own);
    directories
        .flat_map(|path| {
            links(&path, hook, cgroup)
                .into_iter()
                .map(move |id| (id, path.clone()))
        })
        .collect()
}

/// Returns the program of this hook's link in a pin directory, if that link is on the cgroup.
fn links(pins: &Path, hook: &str, cgroup: &Cgroup) -> Option<u32> {
    let link = sys::obj_get(&pins.join("links").join(hook)).ok()?;
    let info = sys::link_info(link.as_fd()).ok()?;
    (info.cgroup_id == cgroup.id()).then_some(info.program_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_says_whose_program_it_is_and_what_to_do() {
        let cgroup = PathBuf::from("/sys/fs/cgroup");
        let mut other = OtherAgent {
            cgroup,
            hook: "connect4",
            program: 7,
            pins: Some("/sys/fs/bpf/other".into()),
        };
        assert_eq!(
            other.to_string(),
            "another agent serves cgroup /sys/fs/cgroup: its program connect4 (pinned in /sys/fs/bpf/other) is attached \
             there; stop it and run `mesh-agent uninstall --pin-dir /sys/fs/bpf/other`, or name another cgroup with \
             --cgroup, or start with --allow-second-agent"
        );
        other.pins = None;
        assert_eq!(
            other.to_string(),
            "another agent serves cgroup /sys/fs/cgroup: its program connect4 (kernel id 7, pinned elsewhere) is attached \
             there; stop it and run `mesh-agent uninstall` with its --pin-dir, or name another cgroup with --cgroup, or \
             start with --allow-second-agent"
        );
    }
}
