//! Capabilities that threads keep. They belong to a thread and are inherited by the threads that it
//! starts, so each thread gives them up for itself.

use std::thread;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

use crate::dataplane::privileges;

/// Kept by the main thread until the programs are attached: to load and attach them, to recognise
/// programs of other agents, to open sockets with their group, and metrics on a port below 1024.
const AT_START: [Capability; 6] = [
    Capability::CAP_BPF,
    Capability::CAP_CHOWN,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_ADMIN,
];
/// Kept by the namespace helper: to enter namespaces, to find them in `/proc`, and to close sockets
/// there.
pub const HELPER: [Capability; 3] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_PTRACE,
];

/// The capabilities that the daemon keeps at run time.
#[derive(Clone, Debug)]
pub struct RunTime(CapsHashSet);

impl RunTime {
    /// Gives up what the start does not need. Must be called on the main thread before other threads
    /// start.
    pub fn begin() -> Result<Self, CapsError> {
        let held = caps::read(None, CapSet::Permitted)?;
        let run_time = needed(&held, map_access_needs_bpf()?);
        empty_bounding_set(&held)?;
        keep(&AT_START.into())?;
        Ok(Self(run_time))
    }

    /// Gives up everything else on this thread, for good.
    pub fn enter(&self) -> Result<(), CapsError> {
        keep(&self.0)
    }
}

/// Keeps only what the namespace helper needs.
pub fn keep_for_helper() -> Result<(), CapsError> {
    empty_bounding_set(&caps::read(None, CapSet::Permitted)?)?;
    keep(&HELPER.into())
}

/// Returns what the daemon needs at run time. `CAP_NET_ADMIN` closes sockets. Where descriptors of
/// maps are not enough to use them, `CAP_BPF` is needed too, or `CAP_SYS_ADMIN`, which includes it.
fn needed(held: &CapsHashSet, map_access_needs_bpf: bool) -> CapsHashSet {
    let lookup = match held.contains(&Capability::CAP_BPF) {
        true => Capability::CAP_BPF,
        false => Capability::CAP_SYS_ADMIN,
    };
    let bpf = map_access_needs_bpf.then_some(lookup);
    [Capability::CAP_NET_ADMIN].into_iter().chain(bpf).collect()
}

/// Keeps on this thread those of the `wanted` capabilities that it holds.
fn keep(wanted: &CapsHashSet) -> Result<(), CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let kept = held.intersection(wanted).copied().collect();
    // Clears the ambient set as well.
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

/// Empties the bounding set, which needs `CAP_SETPCAP`. Without that it stays, and has no effect: with
/// `no_new_privs`, a program that is executed gains nothing.
fn empty_bounding_set(held: &CapsHashSet) -> Result<(), CapsError> {
    match held.contains(&Capability::CAP_SETPCAP) {
        true => caps::clear(None, CapSet::Bounding),
        false => Ok(()),
    }
}

/// Whether open maps can be used only with `CAP_BPF`: before Linux 6.0, unless the sysctl
/// `kernel.unprivileged_bpf_disabled` is 0. Asked on a thread without capabilities.
fn map_access_needs_bpf() -> Result<bool, CapsError> {
    thread::scope(|scope| {
        let asked = scope.spawn(|| {
            caps::clear(None, CapSet::Effective)?;
            Ok(privileges::refuses_map_access())
        });
        asked.join().expect("system calls do not panic")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(of: &[Capability]) -> CapsHashSet {
        of.iter().copied().collect()
    }

    #[test]
    fn only_sockets_need_a_capability_where_maps_need_none() {
        let all = caps::all();
        let net_admin = set(&[Capability::CAP_NET_ADMIN]);
        assert_eq!(needed(&all, false), net_admin);
        let with_bpf = set(&[Capability::CAP_NET_ADMIN, Capability::CAP_BPF]);
        assert_eq!(needed(&all, true), with_bpf);
        let without_bpf = set(&[Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN]);
        assert_eq!(needed(&without_bpf, true), without_bpf);
    }

    #[test]
    fn a_thread_keeps_what_it_wants_of_what_it_holds_and_nothing_else() {
        let kept = thread::spawn(|| {
            let wanted = set(&[Capability::CAP_NET_ADMIN]);
            let held = caps::read(None, CapSet::Permitted).unwrap();
            keep(&wanted).unwrap();
            let sets = [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable];
            let sets = sets.map(|set| caps::read(None, set).unwrap());
            let expected: CapsHashSet = held.intersection(&wanted).copied().collect();
            (sets, [expected.clone(), expected, CapsHashSet::new()])
        });
        let (sets, expected) = kept.join().unwrap();
        assert_eq!(sets, expected);
    }
}
