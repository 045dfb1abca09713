//! Capabilities of this process, and privileges that it drops.

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

use super::sys;

/// A capability is missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "mesh-agent needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON to load its programs: run it as root"
)]
pub struct Missing;

/// Effective capabilities.
#[derive(Clone)]
pub struct Capabilities(CapsHashSet);

impl Capabilities {
    /// Returns those of this process; none if the kernel does not tell.
    pub fn effective() -> Self {
        Self(caps::read(None, CapSet::Effective).unwrap_or_default())
    }

    fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// Fails if programs cannot be loaded and attached. `CAP_SYS_ADMIN` includes `CAP_BPF` and
    /// `CAP_PERFMON` (capabilities(7)). Without `CAP_PERFMON` the verifier refuses loops over the
    /// entries of a row.
    pub fn check(&self) -> Result<(), Missing> {
        let loads = self.has(Capability::CAP_BPF) && self.has(Capability::CAP_PERFMON)
            || self.has(Capability::CAP_SYS_ADMIN);
        if self.has(Capability::CAP_NET_ADMIN) && loads {
            Ok(())
        } else {
            Err(Missing)
        }
    }

    /// Whether other network namespaces can be entered.
    pub fn enter_namespaces(&self) -> bool {
        self.has(Capability::CAP_SYS_ADMIN)
    }

    /// Whether the network namespaces of other users' processes can be found.
    pub fn see_processes(&self) -> bool {
        self.has(Capability::CAP_SYS_PTRACE)
    }
}

/// Whether this thread may not use maps by their descriptors.
pub fn refuses_map_access() -> bool {
    sys::refuses_map_access()
}

/// Drops core dumps, which would contain what the agent has read, tracing by other processes, and
/// privileges from files that the agent executes.
pub fn give_up() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn all() -> Capabilities {
        Capabilities(caps::all())
    }

    /// Returns the capabilities that loading the programs needs.
    pub(crate) fn three() -> Capabilities {
        let three = [
            Capability::CAP_BPF,
            Capability::CAP_NET_ADMIN,
            Capability::CAP_PERFMON,
        ];
        Capabilities(three.into())
    }

    pub(crate) fn without(capability: Capability) -> Capabilities {
        let mut capabilities = caps::all();
        capabilities.remove(&capability);
        Capabilities(capabilities)
    }

    #[test]
    fn deployments_give_the_three_capabilities() {
        let unit = include_str!("../../../deploy/mesh-agent.service");
        let pod = include_str!("../../../deploy/daemonset.yaml");
        let given = |text: &str, key: &str| -> CapsHashSet {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
            let words = line.expect("the key is there").split([' ', ',', '[', ']']);
            let names = words.filter(|word| !word.is_empty());
            names
                .map(|name| {
                    format!("CAP_{}", name.trim_start_matches("CAP_"))
                        .parse()
                        .unwrap()
                })
                .collect()
        };
        assert_eq!(given(unit, "CapabilityBoundingSet="), three().0);
        assert_eq!(given(pod, "add: "), three().0);
    }

    #[test]
    fn three_capabilities_are_needed() {
        let suffice = |capabilities: &Capabilities| capabilities.check().is_ok();
        assert!(suffice(&all()) && suffice(&three()));
        assert!(suffice(&without(Capability::CAP_SYS_PTRACE)));
        assert!(
            suffice(&without(Capability::CAP_BPF)),
            "CAP_SYS_ADMIN includes it"
        );
        assert!(!suffice(&without(Capability::CAP_NET_ADMIN)));
        for missing in three().0 {
            let mut two = three();
            two.0.remove(&missing);
            assert!(!suffice(&two), "{missing}");
        }
        assert!(!suffice(&Capabilities(CapsHashSet::new())));
    }
}
